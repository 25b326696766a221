"""An EventBridge Pipe from a queue to a state machine, as its documentation describes it. No emulator has one.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-sqs.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from dataclasses import dataclass, field
from functools import reduce
from typing import Any


@dataclass
class Pipe:
    """Receives messages in batches, transforms each, and starts an execution whose input is their array."""

    # Clients of boto3.
    sqs: Any
    stepfunctions: Any
    queue_url: str
    machine: str
    template: str
    batch_size: int
    stopped: threading.Event = field(default_factory=threading.Event)

    @staticmethod
    def transformed(template: str, message: dict) -> Any:
        """Applies an input template to a message. `<$.body.a>` is a value of the message; a body that is JSON is parsed."""
        message = {**message, "body": json.loads(message["body"])}

        def value(match: re.Match) -> str:
            return json.dumps(reduce(lambda found, name: found[name], match["path"].split("."), message))

        return json.loads(re.sub(r"<\$\.(?P<path>[\w.]+)>", value, template))

    def run(self) -> None:
        """Processes batches until `stop` is called, or until the stack is deleted, and its queue with it."""
        with contextlib.suppress(self.sqs.exceptions.QueueDoesNotExist):
            while not self.stopped.is_set():
                self.process_batch()

    def process_batch(self) -> None:
        """Receives a batch, starts its execution, and deletes its messages. Messages remain if no execution starts."""
        batch: list[dict] = []
        while len(batch) < self.batch_size:
            # A call returns ten messages at most.
            received = self.sqs.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=min(10, self.batch_size - len(batch)), WaitTimeSeconds=1
            ).get("Messages", [])
            if not received:
                break
            batch += received
        if not batch:
            return
        messages = [{"messageId": message["MessageId"], "body": message["Body"]} for message in batch]
        items = [self.transformed(self.template, message) for message in messages]
        self.stepfunctions.start_execution(stateMachineArn=self.machine, input=json.dumps(items))
        for message in batch:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def stop(self) -> None:
        self.stopped.set()
