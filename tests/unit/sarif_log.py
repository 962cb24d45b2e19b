"""The parts of the published schema of SARIF 2.1.0 that the library uses."""

TEXT = {"type": "string", "minLength": 1}
PLACE = {"type": "integer", "minimum": 1}
MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": TEXT}, "additionalProperties": False}
LEVEL = {"enum": ["none", "note", "warning", "error"]}


def of(required, **properties):
    """An object with these properties and no others, as everywhere in that schema."""
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def each(items, **more):
    return {"type": "array", "items": items, **more}


REGION = of(["startLine"], startLine=PLACE)
ARTIFACT = of(["uri"], uri={"type": "string", "format": "uri-reference"}, uriBaseId=TEXT, index={"type": "integer"})
LOCATION = of(
    [],
    physicalLocation=of(["artifactLocation"], artifactLocation=ARTIFACT, region=REGION),
    logicalLocations=each(of([], name=TEXT, fullyQualifiedName=TEXT), uniqueItems=True),
)
RULE = of(
    ["id"], id=TEXT, name=TEXT, shortDescription=MESSAGE, help=MESSAGE,
    defaultConfiguration=of([], level=LEVEL, enabled={"type": "boolean"}),
)  # fmt: skip
RESULT = of(
    ["message"], ruleId=TEXT, ruleIndex={"type": "integer", "minimum": -1}, level=LEVEL, message=MESSAGE,
    locations=each(LOCATION), partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
)  # fmt: skip
RUN = of(
    ["tool"],
    tool=of(["driver"], driver=of(["name"], name=TEXT, version=TEXT, rules=each(RULE, uniqueItems=True))),
    results=each(RESULT),
)
LOG = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    **of(
        ["version", "runs"],
        **{"$schema": {"type": "string", "format": "uri"}},
        version={"enum": ["2.1.0"]},
        runs=each(RUN),
    ),
}
"""The essentials of the schema that OASIS publishes: what is required, what there is at all, and which words."""
