"""Runs the emulator of AWS for as long as somebody holds the other end of standard input.

However the test or the sandbox that started this ends, also when it is killed: the operating system closes the pipe,
and the emulator goes with all the functions that it runs, which are in its process group.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref

# Where ledger and queues are written to, if they are to be kept for the next start.
STATE_FILE = os.environ.pop("KEPT_STATE_FILE", None)
# So often they are written, in seconds: what was done since then is lost when this machine loses its power.
WRITTEN_EVERY = 2.0
functions = weakref.WeakSet()
functions_lock = threading.Lock()
is_ending = False


class CountedProcess(subprocess.Popen):
    """Whatever the emulator starts: the functions."""

    def __init__(self, *arguments, **options):
        with functions_lock:
            if is_ending:
                raise OSError("the emulator is ending")
            super().__init__(*arguments, **options)
            functions.add(self)


subprocess.Popen = CountedProcess


def end_with_the_one_who_started_us():
    keeps = False
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], WRITTEN_EVERY if keeps else None)
        if ready:
            if not os.read(sys.stdin.fileno(), 1):
                break
            # Whoever started us has put everything back that was kept: an empty ledger must not take its place.
            keeps = STATE_FILE is not None
        if keeps:
            write_state()
    try:
        end_functions()
        if keeps:
            write_state()
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    finally:
        os.killpg(0, signal.SIGKILL)


def end_functions():
    """Whoever could send anything ends, and none begins, before what was sent is written."""
    global is_ending
    with functions_lock:
        is_ending = True
        for function in list(functions):
            if function.poll() is None:
                function.kill()


def write_state():
    """Writes ledger and queues: the whole file, or what was there before."""
    while True:
        try:
            text = json.dumps(state())
            break
        except RuntimeError:
            # Something was changed while it was read.
            time.sleep(0.01)
    new = STATE_FILE + ".new"
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, STATE_FILE)
    except OSError as problem:
        print(f"cannot keep ledger and queues: {problem}", file=sys.stderr, flush=True)


def state():
    tables = dynamodb._tables.to_dict().values()
    items = [item for table in tables for part in table["items"].values() for item in part.values()]
    queues = {}
    for queue in sqs._queues.to_dict().values():
        queues[queue["name"]] = [
            {"body": message["body"], "group": message["group_id"], "attributes": message["message_attributes"]}
            for message in queue["messages"]
        ]
    return {"rows": items, "queues": queues}


threading.Thread(target=end_with_the_one_who_started_us, daemon=True).start()
sys.argv = ["ministack"]

from ministack.app import main  # noqa: E402  (it may take a second, and the watch is to stand before)
from ministack.core import iam_actions  # noqa: E402
from ministack.services import cloudwatch, dynamodb, lambda_svc, sqs  # noqa: E402
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
