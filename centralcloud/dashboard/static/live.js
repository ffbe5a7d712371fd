"use strict";
// Live updates, colour scheme, fresh ages, copying. Every page works without this file; it only adds these.
(() => {
  const root = document.documentElement;
  const remember = (name, value) => { document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`; };
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) remember("zone", zone);

  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const age = (seconds) => {
    const [noun, length] = units.find(([, each]) => seconds >= 2 * each) || units[3];
    const count = Math.round(seconds / length);
    return `${count} ${noun}${count === 1 ? "" : "s"}`;
  };
  let ahead = 0; // of the server's clock against this one, in ms
  const refreshTimes = (within) => {
    for (const each of within.querySelectorAll("time.since")) {
      const seconds = (Date.now() + ahead - Date.parse(each.dateTime)) / 1000;
      const text = Math.abs(seconds) <= 5 ? "just now" : seconds > 0 ? `${age(seconds)} ago` : `in ${age(-seconds)}`;
      if (each.textContent !== text) each.textContent = text;
      if (!each.title) each.title = new Date(each.dateTime).toLocaleString();
    }
  };

  const selecting = (within) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && within.contains(selection.anchorNode);
  };
  const pathTo = (node, within) => {
    const path = [];
    for (; node !== within; node = node.parentElement) path.unshift([...node.parentElement.children].indexOf(node));
    return path;
  };
  const follow = (path, within) => path.reduce((node, place) => node && node.children[place], within);
  // A link is found again by its address, as rows may have moved, and anything else by its place.
  const again = (focused, path, place) => {
    const href = focused.getAttribute("href");
    const same = href && [...place.querySelectorAll("a")].filter((each) => each.getAttribute("href") === href && each.checkVisibility());
    const there = follow(path, place);
    return same && same.length && !same.includes(there) ? same[0] : there;
  };
  const scrolling = "[data-scrolls], .scroll";
  const waiting = new Map(); // fragments that came while their text was selected
  const replace = (id, html) => {
    const place = document.getElementById(id);
    if (!place) return;
    if (selecting(place)) { waiting.set(id, html); return; }
    waiting.delete(id);
    const focused = place.contains(document.activeElement) ? document.activeElement : null;
    if (focused && focused.matches("input, select, textarea")) { waiting.set(id, html); return; }
    const path = focused && pathTo(focused, place);
    const open = new Map([...place.querySelectorAll("details")].map((each) => [pathTo(each, place).join(), each.open]));
    const scrolled = [...place.querySelectorAll(scrolling)].map((each) => [each.scrollLeft, each.scrollTop]);
    const before = [...place.querySelectorAll("[data-flash]")].map((each) => each.textContent);
    place.innerHTML = html;
    for (const each of place.querySelectorAll("details")) each.open = open.get(pathTo(each, place).join()) ?? each.open;
    place.querySelectorAll(scrolling).forEach((each, number) => { if (scrolled[number]) [each.scrollLeft, each.scrollTop] = scrolled[number]; });
    place.querySelectorAll("[data-flash]").forEach((each, number) => { if (before[number] !== undefined && before[number] !== each.textContent) each.classList.add("flash"); });
    if (path) { const found = again(focused, path, place); if (found) found.focus({ preventScroll: true }); }
    prepare(place);
  };

  const copyable = (within) => {
    for (const each of within.querySelectorAll("[data-copy]")) {
      const button = document.createElement("button");
      button.type = "button"; button.className = "copy"; button.textContent = "Copy";
      button.setAttribute("aria-label", `Copy: ${each.textContent}`);
      button.onclick = async () => {
        try { await navigator.clipboard.writeText(each.textContent); button.textContent = "Copied"; } catch { getSelection().selectAllChildren(each); }
      };
      each.after(button);
    }
  };
  const prepare = (within) => { refreshTimes(within); copyable(within); };

  const words = { live: "live", unavailable: "no new data", starting: "starting", reconnecting: "reconnecting", stale: "stale" };
  const show = (state) => {
    document.body.dataset.state = state;
    const place = document.getElementById("state");
    if (place && place.textContent !== words[state]) place.textContent = words[state];
  };

  const isStale = () => Date.now() - heard > 15000;
  let socket = null, revision = 0, heard = 0, pause = 500, boot = "";
  const connect = () => {
    const address = document.body.dataset.liveUrl;
    if (!address || document.hidden || socket) return;
    const mine = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${address}&revision=${revision}&boot=${boot}`);
    socket = mine;
    mine.onmessage = (event) => {
      const message = JSON.parse(event.data);
      heard = Date.now(); pause = 500;
      if (message.read_at && message.state === "live") ahead = Date.parse(message.read_at) - Date.now();
      revision = message.revision;
      for (const [id, html] of Object.entries(message.fragments)) replace(id, html);
      show(message.state);
    };
    mine.onclose = (event) => {
      if (socket === mine) socket = null;
      if (event.code === 1008) { location.reload(); return; } // the login has ended
      if (document.hidden) return;
      if (!isStale()) show("reconnecting");
      setTimeout(connect, pause * (0.5 + Math.random()));
      pause = Math.min(2 * pause, 10000);
    };
  };
  addEventListener("DOMContentLoaded", () => {
    const body = document.body;
    revision = Number(body.dataset.revision || 0); boot = body.dataset.boot || "";
    const scheme = document.getElementById("scheme");
    scheme.hidden = false;
    scheme.onclick = () => {
      const dark = root.dataset.scheme ? root.dataset.scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.scheme = dark ? "light" : "dark";
      remember("scheme", root.dataset.scheme);
    };
    const here = document.querySelector(".top nav [aria-current]"), bar = here && here.parentElement;
    if (bar) bar.scrollLeft = here.offsetLeft - bar.offsetLeft - (bar.clientWidth - here.offsetWidth) / 2;
    prepare(document);
    heard = Date.now();
    connect();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { if (socket) { const old = socket; socket = null; old.close(); } } else { heard = Date.now(); connect(); }
    });
    setInterval(() => {
      refreshTimes(document);
      for (const [id, html] of waiting) replace(id, html);
      if (document.body.dataset.liveUrl && isStale() && !document.hidden) show("stale");
    }, 1000);
  });
})();
