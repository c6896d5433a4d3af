"""Prints what CloudFormation gets to see of a SAM template, as JSON. Needs no network.

On AWS, SAM's transform runs after the packages were uploaded; here their places stand in for them.
"""

import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template names none: a SAM policy that needs one shall fail here."""

    def load(self):
        return {}


def with_lists(value):
    """`Resource.Attribute` is the short form of a list: one of the two, whoever wrote the template."""
    if isinstance(value, list):
        return [with_lists(one) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("Fn::GetAtt"), str):
        return {"Fn::GetAtt": value["Fn::GetAtt"].split(".", 1)}
    return {key: with_lists(one) for key, one in value.items()}


with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())
for name, resource in template["Resources"].items():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = f"s3://packages/{name}"
json.dump(with_lists(transform(template, {}, NoManagedPolicies())), sys.stdout, indent=1)
