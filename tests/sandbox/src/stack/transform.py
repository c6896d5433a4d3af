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


with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://packages/" + resource["Properties"]["CodeUri"].strip("./")
json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout, indent=1)
