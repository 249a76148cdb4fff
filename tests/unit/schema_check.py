"""The part of JSON Schema that our descriptions use, as a check; a keyword it does not know is an error."""

from __future__ import annotations

import re
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
    "boolean": (bool,),
}
WORDS = {"description", "examples", "format", "default", "title", "contentEncoding"}


def conforms(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> None:
    """Assert that a value is as its schema says; the message names the place."""
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        conforms(value, target, root, at)
        return
    for word, rule in schema.items():
        if word in WORDS:
            continue
        match word:
            case "type":
                kinds = [rule] if isinstance(rule, str) else rule
                fits = any(
                    isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
                    for kind in kinds
                )
                assert fits, f"{at}: {value!r} is no {rule}"
            case "enum":
                assert value in rule, f"{at}: {value!r} is none of {rule}"
            case "const":
                assert value == rule, f"{at}: {value!r} is not {rule!r}"
            case "pattern":
                assert not isinstance(value, str) or re.search(rule, value), f"{at}: {value!r}"
            case "minLength":
                assert not isinstance(value, str) or len(value) >= rule, at
            case "maxLength":
                assert not isinstance(value, str) or len(value) <= rule, at
            case "minimum":
                assert value >= rule, f"{at}: {value}"
            case "maximum":
                assert value <= rule, f"{at}: {value}"
            case "items":
                for place, each in enumerate(value):
                    conforms(each, rule, root, f"{at}[{place}]")
            case "properties":
                for name, inner in rule.items():
                    if name in value:
                        conforms(value[name], inner, root, f"{at}.{name}")
            case "required":
                assert set(rule) <= set(value), f"{at}: {set(rule) - set(value)} missing"
            case "additionalProperties":
                assert rule is False
                extra = set(value) - set(schema["properties"])
                assert not extra, f"{at}: {extra} not described"
            case "allOf":
                for each in rule:
                    conforms(value, each, root, at)
            case _:
                raise AssertionError(f"{at}: the schema uses {word!r}, which this check does not know")
