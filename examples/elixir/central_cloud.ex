# An instance in Elixir that needs only Postgrex (0.15.6 or newer). docs/how-to/connect-an-instance.md explains it.

defmodule CentralCloud do
  @moduledoc """
  Publishes routing decisions and their outcomes, and keeps the learned scores up to date.

      children = [
        {CentralCloud,
         connection: [hostname: "db.example.org", database: "routing", username: "node_1"],
         instance_id: "node-1",
         state_file: "/var/lib/my_router/learned_scores",
         on_scores: &MyRouter.put_scores/1}
      ]

  `on_scores` receives all learned scores, `%{{model, complexity} => score}`, at the start and whenever one changes. It
  runs in the process of the updater, so it should store them (`:persistent_term`, ETS) and return.
  """
  use Supervisor

  def start_link(options), do: Supervisor.start_link(__MODULE__, options, name: __MODULE__)

  @impl true
  def init(options) do
    connection = Keyword.fetch!(options, :connection)
    listening = [name: CentralCloud.Notifications, sync_connect: false, auto_reconnect: true]

    # A restart of Notifications also restarts the ScoreUpdater that listens to it, but not the Publisher and its events.
    Supervisor.init(
      [
        {Postgrex, connection ++ [name: CentralCloud.Database, pool_size: 2]},
        {CentralCloud.Publisher, options},
        {Postgrex.Notifications, connection ++ listening},
        {CentralCloud.ScoreUpdater, options}
      ],
      strategy: :rest_for_one
    )
  end

  @doc """
  Reports a decision and returns it; pass it to `resolved/3`. Needs `:complexity`, `:model`, `:provider`, and `:score`, the
  score by which the model was chosen. Returns immediately, also when the database is unavailable.
  """
  def routed(%{complexity: complexity, model: model, provider: provider, score: score} = decision)
      when is_binary(complexity) and is_binary(model) and is_binary(provider) and is_number(score) do
    decision = Map.put_new_lazy(decision, :decision_id, &new_id/0)
    CentralCloud.Publisher.publish(decision, "routed", %{})
    decision
  end

  @doc """
  Reports the outcome of a decision, `"success"` or `"failure"`. Options: `:response_time_ms`, and for failures
  `:error_kind`, one of `"caller"`, `"policy"`, `"provider"`, `"timeout"`; the first two do not count against the model.
  """
  def resolved(decision, outcome, options \\ []) when outcome in ["success", "failure"] do
    details = Map.new(options)
    true = details[:response_time_ms] == nil or is_number(details[:response_time_ms])
    true = details[:error_kind] in [nil, "caller", "policy", "provider", "timeout"]
    CentralCloud.Publisher.publish(decision, outcome, details)
  end

  # UUIDv7: ids that grow with time keep the index of decision ids fast.
  defp new_id do
    <<a::12, b::62, _::6>> = :crypto.strong_rand_bytes(10)
    hex = Base.encode16(<<System.os_time(:millisecond)::48, 7::4, a::12, 2::2, b::62>>, case: :lower)
    <<p1::binary-8, p2::binary-4, p3::binary-4, p4::binary-4, p5::binary-12>> = hex
    Enum.join([p1, p2, p3, p4, p5], "-")
  end
end

defmodule CentralCloud.Publisher do
  @moduledoc """
  Keeps events in memory, at most 10,000, and sends them in batches, also after the database was unavailable. It sends a
  batch again if its commit was not confirmed, which the decision ids make safe. It drops events that PostgreSQL rejects.

  A standby that is promoted may lack the newest commits of its primary. So the events of the last 10 seconds, at most 10,000,
  are remembered with the epoch of the database, and sent again when the epoch is another one.
  """
  use GenServer
  require Logger

  @batch 500
  @linger_ms 100
  @retry_ms 2_000
  @most_waiting 10_000
  @remember_ms 10_000
  @most_remembered 10_000

  # Typed arrays instead of JSON text need no JSON library and no escaping.
  @send """
  SELECT centralcloud.epoch(), centralcloud.publish_decisions(array_agg(jsonb_build_object(
      'timestamp', e.timestamp, 'instance_id', $1::text, 'routing_decision', jsonb_build_object(
          'decision_id', e.decision_id, 'complexity', e.complexity, 'selected_model', e.model,
          'selected_provider', e.provider, 'complexity_score', e.score, 'outcome', e.outcome,
          'response_time_ms', e.response_time_ms, 'error_kind', e.error_kind))), true)
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::text[], $9::float8[], $10::text[])
      AS e (timestamp, decision_id, complexity, model, provider, score, outcome, response_time_ms, error_kind)
  """

  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: __MODULE__)

  def publish(%{decision_id: id} = decision, outcome, details) when is_binary(id) do
    now = DateTime.to_iso8601(DateTime.utc_now())

    event =
      {now, decision.decision_id, decision.complexity, decision.model, decision.provider, decision.score, outcome,
       details[:response_time_ms], details[:error_kind]}

    GenServer.cast(__MODULE__, {:publish, event})
  end

  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    {:ok, %{instance_id: Keyword.fetch!(options, :instance_id), waiting: :queue.new(), timer: nil, unavailable: false, dropped: 0,
       remembered: [], checks: false, epoch: nil, remember_ms: Keyword.get(options, :remember_ms, @remember_ms)}}
  end

  @impl true
  def handle_cast({:publish, event}, state) do
    if :queue.len(state.waiting) < @most_waiting do
      {:noreply, schedule(%{state | waiting: :queue.in(event, state.waiting)}, @linger_ms)}
    else
      {:noreply, drop(state, "#{@most_waiting} events are already waiting")}
    end
  end

  @impl true
  def handle_info(:send, state) do
    state = %{state | timer: nil}

    with {:ok, state} <- send_all(state), {:ok, state} <- check_epoch(state), {:ok, state} <- send_lost(state) do
      {:noreply, schedule_check(%{state | unavailable: false})}
    else
      {:unavailable, state} -> {:noreply, schedule(%{state | unavailable: true}, @retry_ms)}
    end
  end

  def handle_info(:check, state), do: {:noreply, schedule(%{state | checks: false}, 0)}
  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, state) do
    # Twice, because the first attempt may only reveal a broken connection.
    with {:unavailable, state} <- send_all(state), {:unavailable, state} <- send_all(state) do
      Logger.warning("CentralCloud: #{:queue.len(state.waiting)} events are lost, the database is unavailable")
    end
  end

  defp schedule(%{timer: nil} = state, after_ms), do: %{state | timer: Process.send_after(self(), :send, after_ms)}
  defp schedule(state, _), do: state

  # Remembered events are forgotten only after the epoch was seen to be the same.
  defp schedule_check(%{remembered: [_ | _], checks: false} = state) do
    Process.send_after(self(), :check, state.remember_ms)
    %{state | checks: true}
  end

  defp schedule_check(state), do: state

  defp send_all(state) do
    case :queue.to_list(state.waiting) |> Enum.take(@batch) do
      [] ->
        {:ok, state}

      batch ->
        case send_batch(state, batch) do
          {:ok, state} -> send_all(%{state | waiting: elem(:queue.split(length(batch), state.waiting), 1)})
          {:unavailable, state} -> {:unavailable, state}
        end
    end
  end

  # One event that PostgreSQL rejects makes the whole batch fail: halve the batch until that event is alone.
  defp send_batch(state, batch) do
    columns = batch |> Enum.map(&Tuple.to_list/1) |> Enum.zip_with(& &1)

    case Postgrex.query(CentralCloud.Database, @send, [state.instance_id | columns]) do
      {:ok, %{rows: [[epoch, _]]}} ->
        {:ok, remember(%{state | epoch: epoch}, batch)}

      {:error, %{postgres: %{pg_code: <<class::binary-2, _::binary>>}} = error} when class in ["22", "23"] ->
        if length(batch) == 1 do
          {:ok, drop(state, Exception.message(error))}
        else
          {first, second} = Enum.split(batch, div(length(batch), 2))
          with {:ok, state} <- send_batch(state, first), do: send_batch(state, second)
        end

      {:error, error} ->
        unless state.unavailable, do: Logger.warning("CentralCloud: cannot send events, trying again: #{Exception.message(error)}")
        {:unavailable, state}
    end
  end

  # Newest first: {when it was confirmed, the epochs that have it, events}.
  defp remember(state, batch) do
    batches = [{System.monotonic_time(:millisecond), [state.epoch], batch} | state.remembered]

    {kept, _} =
      Enum.flat_map_reduce(batches, 0, fn {_, _, events} = each, count ->
        count = count + length(events)
        if count <= @most_remembered, do: {[each], count}, else: {:halt, count}
      end)

    %{state | remembered: kept}
  end

  # When the oldest batch is due, read the epoch, and forget what this history of the database has had for long enough.
  defp check_epoch(%{remembered: []} = state), do: {:ok, state}

  defp check_epoch(state) do
    now = System.monotonic_time(:millisecond)
    old? = fn {at, _, _} -> now - at >= state.remember_ms end

    if old?.(List.last(state.remembered)) do
      case Postgrex.query(CentralCloud.Database, "SELECT centralcloud.epoch()", []) do
        {:ok, %{rows: [[epoch]]}} ->
          kept = Enum.reject(state.remembered, fn {_, epochs, _} = batch -> old?.(batch) and epoch in epochs end)
          {:ok, %{state | epoch: epoch, remembered: kept}}

        {:error, _} ->
          {:unavailable, state}
      end
    else
      {:ok, state}
    end
  end

  # Each batch once to each history: two servers behind one address cost no more.
  defp send_lost(state) do
    case Enum.split_with(state.remembered, fn {_, epochs, _} -> state.epoch in epochs end) do
      {_, []} ->
        {:ok, state}

      {_, lost} ->
        count = lost |> Enum.map(fn {_, _, events} -> length(events) end) |> Enum.sum()
        Logger.warning("CentralCloud: new epoch #{state.epoch} of the database: sending #{count} events again")
        Enum.reduce_while(Enum.reverse(lost), {:ok, state}, &resend/2)
    end
  end

  defp resend({_, epochs, events} = batch, {:ok, state}) do
    case send_batch(%{state | remembered: []}, events) do
      {:ok, sent} ->
        rest = List.delete(state.remembered, batch)
        again = {System.monotonic_time(:millisecond), [state.epoch | epochs], events}
        {:cont, {:ok, %{sent | remembered: [again | rest]}}}

      {:unavailable, sent} ->
        {:halt, {:unavailable, %{sent | remembered: state.remembered}}}
    end
  end

  defp drop(state, reason) do
    if rem(state.dropped, 1000) == 0, do: Logger.warning("CentralCloud: event #{state.dropped + 1} is dropped: #{reason}")
    %{state | dropped: state.dropped + 1}
  end
end

defmodule CentralCloud.ScoreUpdater do
  @moduledoc """
  Polls for score updates, stores them in a file and passes them to `on_scores`. Without the database the last scores stay.
  """
  use GenServer
  require Logger

  @poll_ms 10_000
  @reconcile_ms 60_000
  # Shortest time between two polls that notifications start.
  @woken_ms 500
  @largest_file 64_000_000
  # A message may become visible after one with a greater id. Reading a message twice changes nothing.
  @look_behind 100
  # The maximum that score_updates_since returns.
  @page 1000

  # Numbers as text: a manually sent message may hold anything, and must not make the query fail.
  @log """
  SELECT (SELECT centralcloud.epoch()), log.msg_id, log.message->>'model', log.message->>'complexity',
         CASE jsonb_typeof(log.message->'new_score') WHEN 'number' THEN log.message->>'new_score' END,
         log.message->>'version', log.message->>'timestamp', log.enqueued_at
  FROM (SELECT) AS always LEFT JOIN centralcloud.score_updates_since($1) AS log ON true
  ORDER BY log.msg_id
  """

  @snapshot """
  SELECT (SELECT centralcloud.epoch()), s.model_name, s.complexity_level, s.score::float8, s.version, s.updated_at
  FROM (SELECT) AS always LEFT JOIN centralcloud.current_scores() AS s ON true
  """

  @acknowledge "SELECT centralcloud.acknowledge($1, $2)"

  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: __MODULE__)

  # Content of the file: `scores` is %{{model, complexity} => {score, version or nil, time}}.
  defp nothing(epoch), do: %{format: 1, epoch: epoch, cursor: 0, scores: %{}}

  @impl true
  def init(options) do
    file = Keyword.fetch!(options, :state_file)
    learned = read_file(file)

    state = %{
      instance_id: Keyword.fetch!(options, :instance_id),
      file: file,
      on_scores: Keyword.fetch!(options, :on_scores),
      poll_ms: Keyword.get(options, :poll_ms, @poll_ms),
      reconcile_ms: Keyword.get(options, :reconcile_ms, @reconcile_ms),
      learned: learned,
      written: learned,
      reconcile_at: nil,
      woken: false,
      polled_at: System.monotonic_time(:millisecond) - @woken_ms,
      timer: nil,
      unavailable: false
    }

    state.on_scores.(plain(learned))
    {:ok, state, {:continue, :listen}}
  end

  @impl true
  def handle_continue(:listen, state) do
    # {:ok, _}, or {:eventually, _} while the database is unavailable. Notifications are only a hint: polling continues.
    Postgrex.Notifications.listen(CentralCloud.Notifications, "centralcloud_scores")
    {:noreply, poll(state)}
  end

  @impl true
  # A notification wakes all instances at once: spread their polls. A storm of them costs two polls a second.
  def handle_info({:notification, _, _, _, _}, %{woken: true} = state), do: {:noreply, state}

  def handle_info({:notification, _, _, _, _}, state) do
    since_last = System.monotonic_time(:millisecond) - state.polled_at
    {:noreply, schedule(%{state | woken: true}, max(:rand.uniform(200), @woken_ms - since_last))}
  end

  def handle_info(:poll, state), do: {:noreply, poll(state)}
  def handle_info(_, state), do: {:noreply, state}

  defp schedule(state, after_ms) do
    if state.timer, do: Process.cancel_timer(state.timer)
    %{state | timer: Process.send_after(self(), :poll, after_ms)}
  end

  defp poll(state) do
    state = schedule(%{state | woken: false, polled_at: System.monotonic_time(:millisecond)}, state.poll_ms)

    case refresh(state) do
      {:ok, state} ->
        if state.unavailable, do: Logger.info("CentralCloud: the database is available again")
        %{state | unavailable: false}

      {:error, error} ->
        unless state.unavailable, do: Logger.warning("CentralCloud: database unavailable, routing by the last scores: #{Exception.message(error)}")
        %{state | unavailable: true}
    end
  end

  defp refresh(state) do
    with {:ok, learned} <- read_log(state.learned),
         {:ok, learned, reconcile_at} <- reconcile(state, learned) do
      # Use the scores first: neither the disk nor the database may delay them.
      if learned.scores != state.learned.scores, do: state.on_scores.(plain(learned))
      state = write_file(%{state | learned: learned, reconcile_at: reconcile_at})
      acknowledge(state)
    end
  end

  # Everything after the cursor. In another epoch cursor and versions are not valid.
  defp read_log(learned, manual_only \\ false) do
    cursor = max(learned.cursor - @look_behind, 0)
    read_pages(learned, cursor, manual_only)
  end

  defp read_pages(learned, cursor, manual_only) do
    with {:ok, %{rows: [[epoch | _] | _] = rows}} <- query(@log, [cursor]) do
      updates = for [_, id | rest] <- rows, id != nil, do: [id | rest]

      cond do
        epoch != learned.epoch ->
          start_over(epoch)

        length(updates) < @page ->
          {:ok, apply_updates(learned, updates, manual_only)}

        true ->
          [last | _] = List.last(updates)
          read_pages(apply_updates(learned, updates, manual_only), last, manual_only)
      end
    end
  end

  defp start_over(epoch) do
    Logger.warning("CentralCloud: new epoch #{epoch} of the database: starting over from its scores")

    with {:ok, epoch, scores} <- read_snapshot(), do: read_log(%{nothing(epoch) | scores: scores}, true)
  end

  # Read the whole table regularly: it corrects everything that was missed, for any reason.
  defp reconcile(state, learned) do
    now = System.monotonic_time(:millisecond)

    if state.reconcile_at != nil and now < state.reconcile_at do
      {:ok, learned, state.reconcile_at}
    else
      with {:ok, epoch, scores} <- read_snapshot(),
           {:ok, learned} <- compare(learned, epoch, scores),
           do: {:ok, learned, now + state.reconcile_ms}
    end
  end

  # The table is read after the log, so its versions are at least as new. An older one means that the database was restored.
  defp compare(learned, epoch, scores) do
    restored =
      Enum.any?(learned.scores, fn {pair, {_, version, _}} ->
        version != nil and version > version_of(scores[pair])
      end)

    if restored or epoch != learned.epoch do
      start_over(epoch)
    else
      {:ok, %{learned | scores: Map.merge(learned.scores, scores, fn _, ours, theirs -> newer(ours, theirs) end)}}
    end
  end

  defp version_of(nil), do: 0
  defp version_of({_, version, _}), do: version

  defp read_snapshot do
    with {:ok, %{rows: [[epoch | _] | _] = rows}} <- query(@snapshot, []) do
      scores =
        for [_, model, complexity, score, version, at] <- rows, model != nil, good?(complexity, score), into: %{} do
          {{model, complexity}, {score, version, DateTime.to_unix(at, :microsecond)}}
        end

      {:ok, epoch, scores}
    end
  end

  defp apply_updates(learned, updates, manual_only) do
    Enum.reduce(updates, learned, fn [msg_id, model, complexity, score, version, timestamp, enqueued_at], learned ->
      new = msg_id > learned.cursor
      learned = %{learned | cursor: max(msg_id, learned.cursor)}
      version = version && whole(version)
      score = score && decimal(score)

      cond do
        model == nil or version == :wrong or not good?(complexity, score) ->
          if new, do: Logger.warning("CentralCloud: score update #{msg_id} is refused")
          learned

        manual_only and version != nil ->
          learned

        true ->
          theirs = {score, version, published_at(version, timestamp, enqueued_at)}
          %{learned | scores: Map.update(learned.scores, {model, complexity}, theirs, &newer(&1, theirs))}
      end
    end)
  end

  # The higher of two versions wins. A score without a version was sent manually and is valid until the next version. So the
  # order in which updates are read makes no difference.
  defp newer({_, v1, _} = ours, {_, v2, _} = theirs) when v1 != nil and v2 != nil, do: if(v2 > v1, do: theirs, else: ours)
  defp newer({_, _, t1} = ours, {_, _, t2} = theirs) when t1 != t2, do: if(t2 > t1, do: theirs, else: ours)
  defp newer({_, v1, _} = ours, {_, v2, _} = theirs), do: if(v1 == nil and v2 != nil, do: theirs, else: ours)

  # A version counts from its publication. enqueued_at is the start of the sender's transaction.
  defp published_at(version, timestamp, enqueued_at) do
    with true <- version != nil and timestamp != nil,
         {:ok, at, _} <- DateTime.from_iso8601(timestamp) do
      DateTime.to_unix(at, :microsecond)
    else
      _ -> DateTime.to_unix(enqueued_at, :microsecond)
    end
  end

  defp good?(complexity, score) do
    complexity in ["simple", "medium", "complex"] and is_number(score) and score >= 0 and score <= 5
  end

  defp whole(text) when byte_size(text) < 19 do
    case Integer.parse(text) do
      {number, ""} -> number
      _ -> :wrong
    end
  end

  defp whole(_), do: :wrong

  defp decimal(text) when byte_size(text) < 19 do
    case Float.parse(text) do
      {number, ""} -> number
      _ -> nil
    end
  end

  defp decimal(_), do: nil

  defp acknowledge(state) do
    newest = state.learned.scores |> Enum.map(fn {_, score} -> version_of(score) || 0 end) |> Enum.max(fn -> 0 end)

    # Acknowledge only scores that are in the file, so that a restart has them.
    if state.written == state.learned do
      with {:ok, _} <- query(@acknowledge, [state.instance_id, newest]), do: {:ok, state}
    else
      {:ok, state}
    end
  end

  defp query(statement, parameters), do: Postgrex.query(CentralCloud.Database, statement, parameters)

  defp plain(learned), do: Map.new(learned.scores, fn {pair, {score, _, _}} -> {pair, score} end)

  defp read_file(file) do
    with {:ok, %{type: :regular, size: size}} when size <= @largest_file <- File.stat(file),
         {:ok, content} <- File.read(file),
         %{format: 1} = learned <- :erlang.binary_to_term(content, [:safe]) do
      learned
    else
      _ -> nothing(nil)
    end
  rescue
    ArgumentError -> nothing(nil)
  end

  # Write a new file and rename it: after a crash the file holds the old scores or the new ones.
  defp write_file(%{written: same, learned: same} = state), do: state

  defp write_file(state) do
    new = state.file <> ".new"

    with :ok <- File.write(new, :erlang.term_to_binary(state.learned), [:sync]),
         :ok <- File.rename(new, state.file) do
      %{state | written: state.learned}
    else
      {:error, reason} ->
        Logger.error("CentralCloud: #{state.file} cannot be written: #{:file.format_error(reason)}")
        state
    end
  end
end
