#!/usr/bin/env python3
"""Write the list of components (SBOM) of a release or of the image, as CycloneDX JSON.

    sbom.py release dist/centralcloud-0.2.0-py3-none-any.whl       # dist/centralcloud-0.2.0.cdx.json
    sbom.py image PACKAGES REPORT WHEEL BASE_IMAGE OUTPUT          # the Dockerfile runs this one

A release lists the packages that the wheel needs with the extras `daemon` and `embedded`, each with all its wheels in
deploy/requirements and their hashes. The image lists the packages in the folder PACKAGES, each with the one wheel that pip
installed according to its installation report. The same input gives the same bytes: the serial number is computed from
the contents, and the time is SOURCE_DATE_EPOCH, or missing.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from installed_packages import dependency_graph, marker_environment, needs, read_hashes
from packageurl import PackageURL
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename

_REQUIREMENTS: Final = Path(__file__).resolve().parents[1] / "deploy/requirements"
_PROJECT: Final = canonicalize_name("centralcloud")
#: The extras of a release that run; the others are for developers.
_EXTRAS: Final = ("daemon", "embedded")
#: One environment for every machine that builds a release, so that its list does not depend on that machine.
_ENVIRONMENT: Final = marker_environment("3.11", "x86_64")
#: Longer texts in the field License of a package are the licence itself, not its name.
_LONGEST_LICENSE_NAME: Final = 60
_CLASSIFIER: Final = re.compile(r"License :: (?:OSI Approved :: )?(.+)")

_Installed = Mapping[NormalizedName, Distribution]


@dataclass(frozen=True)
class Package:
    """A package: its metadata, the SHA-256 of its wheels by file name, and whether only an extra needs it."""

    metadata: Distribution
    wheels: Mapping[str, str]
    optional: bool = False


def licenses_of(package: Distribution) -> list[License]:
    """Find the declared licences: the SPDX expression, else a short text, else the classifiers; empty if there is none."""
    metadata = package.metadata
    make = LicenseFactory()
    declared = LicenseAcknowledgement.DECLARED
    text = (metadata.get("License-Expression") or metadata.get("License") or "").strip()
    if text and "\n" not in text and len(text) <= _LONGEST_LICENSE_NAME and text != "UNKNOWN":
        return [make.make_from_string(text, license_acknowledgement=declared)]
    names = [_CLASSIFIER.fullmatch(line) for line in metadata.get_all("Classifier") or ()]
    return [
        DisjunctiveLicense(name=name[1], acknowledgement=declared)
        for name in names
        if name and name[1] != "OSI Approved"
    ]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def component_of(package: Package, kind: ComponentType = ComponentType.LIBRARY) -> Component:
    """Build the component of a package. A single wheel gives it its hash; each wheel is a reference with its own."""
    name, version = canonicalize_name(package.metadata.name), package.metadata.version
    address = PackageURL("pypi", name=name, version=version)

    def hashed(digest: str) -> list[HashType]:
        return [HashType(alg=HashAlgorithm.SHA_256, content=digest)]

    return Component(
        type=kind,
        name=package.metadata.name,
        version=version,
        purl=address,
        bom_ref=address.to_string(),
        description=package.metadata.metadata.get("Summary"),
        scope=ComponentScope.OPTIONAL if package.optional else ComponentScope.REQUIRED,
        licenses=licenses_of(package.metadata),
        hashes=hashed(next(iter(package.wheels.values()))) if len(package.wheels) == 1 else (),
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(quote(wheel)), hashes=hashed(digest))
            for wheel, digest in package.wheels.items()
        ],
    )


def _write(bom: Bom, output: Path) -> None:
    """Write the list, with a serial number computed from its contents."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    bom.serial_number = UUID(int=0)
    bom.metadata.timestamp = datetime.fromtimestamp(int(epoch or 0), UTC)
    contents = json.loads(JsonV1Dot6(bom).output_as_string())
    del contents["serialNumber"]
    if not epoch:
        del contents["metadata"]["timestamp"]
    number = uuid5(NAMESPACE_OID, json.dumps(contents, sort_keys=True))
    output.write_text(json.dumps({**contents, "serialNumber": number.urn}, indent=2, sort_keys=True) + "\n")


def _add(bom: Bom, components: Mapping[NormalizedName, Component], graph: Mapping[NormalizedName, set]) -> None:
    """Add the components, and which of them requires which."""
    for name, component in components.items():
        bom.components.add(component)
        bom.register_dependency(
            component, [components[each] for each in sorted(graph.get(name, set()) & components.keys())]
        )


def write_release(wheel: Path, installed: _Installed) -> Path:
    """Write the list of a release beside its wheel.

    Raises:
        LookupError: a package has no hash in deploy/requirements, or is installed in another version.
    """
    hashes = read_hashes(_REQUIREMENTS / "agent.txt")
    for extra in _EXTRAS:
        hashes |= read_hashes(_REQUIREMENTS / f"{extra}.txt")
    always = dependency_graph([_PROJECT], installed, _ENVIRONMENT)
    graph = dependency_graph([f"{_PROJECT}[{','.join(_EXTRAS)}]"], installed, _ENVIRONMENT)
    components: dict[NormalizedName, Component] = {}
    for package in sorted(graph.keys() - {_PROJECT}):
        wheels = hashes.get((package, installed[package].version))
        if wheels is None:
            raise LookupError(f"deploy/requirements has no {package}=={installed[package].version}: run `make hashes`")
        components[package] = component_of(Package(installed[package], wheels, optional=package not in always))
    bom = Bom()
    root = Package(installed[_PROJECT], {wheel.name: _sha256(wheel)})
    bom.metadata.component = component_of(root, ComponentType.APPLICATION)
    _add(bom, components, graph)
    bom.register_dependency(bom.metadata.component, [components[each] for each in sorted(graph[_PROJECT])])
    name, version, _, _ = parse_wheel_filename(wheel.name)
    output = wheel.with_name(f"{name}-{version}.cdx.json")
    _write(bom, output)
    return output


def write_image(packages: Path, report: Path, wheel: Path, base_image: str, output: Path) -> None:
    """Write the list of an image: what is in the folder `packages`.

    Raises:
        LookupError: a package there is not in the report of pip.
    """
    installed = {canonicalize_name(each.name): each for each in distributions(path=[str(packages)])}
    wheels = {_PROJECT: {wheel.name: _sha256(wheel)}}
    for each in json.loads(report.read_text())["install"]:
        file = unquote(urlsplit(each["download_info"]["url"]).path.rpartition("/")[2])
        digest = each["download_info"]["archive_info"]["hashes"]["sha256"]
        wheels[canonicalize_name(each["metadata"]["name"])] = {file: digest}
    if unknown := sorted(installed.keys() - wheels.keys()):
        raise LookupError(f"{report.name} does not list {', '.join(unknown)}, found in {packages}")
    bom = Bom(properties=[Property(name="centralcloud:base-image", value=base_image)])
    root = installed[_PROJECT]
    extras = [
        extra
        for extra in _EXTRAS
        if {canonicalize_name(each.name) for each in needs(root, (extra,), _ENVIRONMENT)} <= installed.keys()
    ]
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER, name=root.name, version=root.version, bom_ref="image"
    )
    components = {name: component_of(Package(installed[name], wheels[name])) for name in sorted(installed)}
    _add(bom, components, dependency_graph([f"{_PROJECT}[{','.join(extras)}]"], installed, _ENVIRONMENT))
    bom.register_dependency(bom.metadata.component, [components[_PROJECT]])
    _write(bom, output)


def main(arguments: Iterable[str]) -> int:
    """Run one of the two forms; 1 with one line when a package is unknown, 2 on wrong usage."""
    try:
        match list(arguments):
            case ["release", wheel]:
                written = write_release(Path(wheel), {canonicalize_name(each.name): each for each in distributions()})
                sys.stdout.write(f"wrote {written}\n")
            case ["image", packages, report, wheel, base_image, output]:
                write_image(Path(packages), Path(report), Path(wheel), base_image, Path(output))
            case _:
                sys.stderr.write("usage: sbom.py release WHEEL | image PACKAGES REPORT WHEEL BASE_IMAGE OUTPUT\n")
                return 2
    except (LookupError, ValueError) as error:
        sys.stderr.write(f"sbom: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
