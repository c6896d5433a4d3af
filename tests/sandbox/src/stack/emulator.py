"""Runs the emulator of AWS for as long as somebody holds the other end of standard input.

However the test or the sandbox that started this ends, also when it is killed: the operating system closes the pipe,
and the emulator goes with all the functions that it runs, which are in its process group.
"""

import os
import shutil
import signal
import sys
import threading
import time


def end_with_the_one_who_started_us():
    sys.stdin.buffer.read()
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_the_one_who_started_us, daemon=True).start()
sys.argv = ["ministack"]

from ministack.app import main  # noqa: E402  (it may take a second, and the watch is to stand before)
from ministack.core import iam_actions  # noqa: E402
from ministack.services import cloudwatch, lambda_svc, sqs  # noqa: E402
from ministack.services.cloudformation import provisioners  # noqa: E402

# Where the emulator differs from AWS: it asks for permissions such as `sqs:SendMessageBatch`, which do not exist. On AWS
# the batch calls of SQS are allowed to whoever may make the single call, and a template can grant nothing else.
asked_for = iam_actions.extract_iam_action


def as_aws_asks(*request):
    action = asked_for(*request)
    if action and action.startswith("sqs:"):
        action = action.removesuffix("Batch")
    return action


iam_actions.extract_iam_action = as_aws_asks


class QueueClock:
    """The time, as the queues alone see it: a test can let hours pass for what waits in them."""

    def __getattr__(self, name):
        return getattr(time, name)

    def time(self):
        try:
            with open(os.environ["QUEUES_ARE_AHEAD_FILE"]) as file:
                return time.time() + float(file.read())
        except FileNotFoundError:
            return time.time()


sqs.time = QueueClock()

# Where it differs, too: AWS counts the failed invocations of an event source mapping among a function's Errors. The
# emulator counts only those of calls to Invoke, and looks at its alarms only when somebody puts a metric.
run_batch = lambda_svc._run_sqs_batch


def run_and_count_errors(mapping, function, *batch):
    # Batches of one mapping may run side by side, and each writes its result into the mapping.
    own = dict(mapping)
    run_batch(own, function, *batch)
    mapping["LastProcessingResult"] = own["LastProcessingResult"]
    if own["LastProcessingResult"] == "FAILED":
        dimensions = {"FunctionName": function["config"]["FunctionName"]}
        cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", dimensions)
        cloudwatch._evaluate_all_alarms()


lambda_svc._run_sqs_batch = run_and_count_errors

# CloudFormation's saved queries of Logs Insights, which the emulator does not have: nothing in a running system uses
# them, a person does.
provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {
    "create": lambda logical_id, properties, stack: (f"{stack}-{logical_id}", {}),
    "update": lambda physical_id, old, new, stack: (physical_id, {}),
    "delete": lambda physical_id, properties: None,
}

main()
