// What the types refuse. It is compiled and never run.

import { Stack } from "aws-cdk-lib";

import { ChtAfricasTalking } from "../index";

declare const stack: Stack;
const bundle = "cht-africastalking-0.2.0";
const medicUrl = "https://medic.example.org";

const bridge = new ChtAfricasTalking(stack, "Bridge", { bundle, medicUrl, logRetentionDays: 30, architecture: "arm64" });
export const url: string = bridge.incomingMessagesCallbackUrl;

// @ts-expect-error Medic's address has no default
new ChtAfricasTalking(stack, "NoMedic", { bundle });
// @ts-expect-error it is medicUrl
new ChtAfricasTalking(stack, "Misspelled", { bundle, medicUrl, medicURL: medicUrl });
// @ts-expect-error there is no such number of days in CloudWatch
new ChtAfricasTalking(stack, "Days", { bundle, medicUrl, logRetentionDays: 8 });
// @ts-expect-error there is no such policy
new ChtAfricasTalking(stack, "Policy", { bundle, medicUrl, unknownOutcomePolicy: "resend-twice" });
