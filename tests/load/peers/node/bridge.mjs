// The same five functions in Node.js, written as one would: the AWS SDK v3, only the clients that
// are needed, bundled and minified, keep-alive connections, secrets read once before the first
// event. The same calls in the same order; none of the bridge's rarer paths.
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import http from "node:http";

const environment = process.env;
const handlers = {
  "incoming-messages": () => webhook(incoming),
  "delivery-reports": () => webhook(report),
  "report-recorder": recorder,
  "outbound-sender": sender,
  "medic-exchange": exchange,
};

async function sqs() {
  const { SQSClient, SendMessageBatchCommand, ChangeMessageVisibilityBatchCommand } =
    await import("@aws-sdk/client-sqs");
  const client = new SQSClient({ md5: false });
  return {
    send: (QueueUrl, Entries) => client.send(new SendMessageBatchCommand({ QueueUrl, Entries })),
    changeVisibility: (QueueUrl, Entries) =>
      client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries })),
  };
}

async function secret(arn) {
  const { SecretsManagerClient, GetSecretValueCommand } = await import("@aws-sdk/client-secrets-manager");
  const answer = await new SecretsManagerClient({}).send(new GetSecretValueCommand({ SecretId: arn }));
  return JSON.parse(answer.SecretString);
}

async function ledger() {
  const { DynamoDBClient, BatchGetItemCommand, PutItemCommand, QueryCommand } = await import("@aws-sdk/client-dynamodb");
  const client = new DynamoDBClient({});
  const table = environment.LEDGER_TABLE;
  const put = ({ item, before }) => {
    const expected = before?.version;
    return {
      TableName: table,
      Item: {
        ...item,
        version: { S: randomBytes(8).toString("hex") },
        expires_at_s: { N: String(Math.floor(Date.now() / 1000) + 90 * 86400) },
      },
      ConditionExpression: expected ? "version = :expected" : "attribute_not_exists(pk)",
      ...(expected && { ExpressionAttributeValues: { ":expected": expected } }),
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    };
  };
  return {
    async read(...keys) {
      const Keys = keys.map((pk) => ({ pk: { S: pk } }));
      const answer = await client.send(
        new BatchGetItemCommand({ RequestItems: { [table]: { Keys, ConsistentRead: true } } }),
      );
      return new Map(answer.Responses[table].map((item) => [item.pk.S, item]));
    },
    // In their order, one after the other.
    async write(...writes) {
      for (const write of writes) await client.send(new PutItemCommand(put(write)));
    },
    async unreported() {
      const answer = await client.send(
        new QueryCommand({
          TableName: table,
          IndexName: "unreported",
          KeyConditionExpression: "unreported = :yes",
          ExpressionAttributeValues: { ":yes": { S: "yes" } },
          Limit: 100,
        }),
      );
      return answer.Items.map((item) => item.pk.S);
    },
  };
}

const log = (event, fields) => console.log(JSON.stringify({ level: "info", event, ...fields }));
const same = (a, b) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
const hash = (key, text) => createHmac("sha256", key).update(text).digest("hex");

async function webhook(read) {
  const [queue, keys] = await Promise.all([sqs(), secret(environment.INCOMING_KEY_SECRET_ARN)]);
  return async (event) => {
    const answer = (statusCode, body) => ({ statusCode, headers: { "content-type": "text/plain" }, body });
    const key = new URLSearchParams(event.rawQueryString).get("key") ?? "";
    if (!same(key, keys.key)) return answer(403, "wrong key");
    const body = event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body;
    const { url, entry, id } = read(new URLSearchParams(body), keys);
    if (!id) return answer(400, "the field `id` is missing");
    const result = await queue.send(url, [entry]);
    if (result.Failed?.length) return answer(503, "not queued");
    log("queued", { id });
    return answer(200, "");
  };
}

function incoming(fields) {
  const id = fields.get("id");
  const message = {
    v: 1, kind: "incoming", id, from: fields.get("from"), content: fields.get("text") || " ",
    sent_at_ms: Date.parse(fields.get("date")) || Date.now(), received_at_ms: Date.now(),
  };
  return {
    id,
    url: environment.EXCHANGE_QUEUE_URL,
    entry: {
      Id: "0", MessageBody: JSON.stringify(message), MessageGroupId: "medic",
      MessageDeduplicationId: createHash("sha256").update(id ?? "").digest("hex"),
    },
  };
}

function report(fields, keys) {
  const id = fields.get("id");
  const message = {
    v: 1, id, status: fields.get("status"), failure_reason: fields.get("failureReason"),
    network_code: fields.get("networkCode"),
    number_hash: hash(keys.key, fields.get("phoneNumber") ?? ""), received_at_ms: Date.now(),
  };
  return { id, url: environment.REPORTS_QUEUE_URL, entry: { Id: "0", MessageBody: JSON.stringify(message) } };
}

const ranks = ["unsent", "pending", "sent", "failed", "delivered"];
const meanings = { Sent: "sent", Submitted: "sent", Buffered: "sent", Success: "delivered", Failed: "failed" };

function raised(row, status) {
  if (ranks.indexOf(status) <= ranks.indexOf(row.status.S)) return row;
  return { ...row, status: { S: status }, unreported: { S: "yes" } };
}

async function batch(event, one) {
  const results = await Promise.allSettled(event.Records.map(one));
  const failed = event.Records.filter((_, index) => results[index].status === "rejected");
  for (const { reason } of results) if (reason) log("failed", { error: String(reason) });
  return { batchItemFailures: failed.map((record) => ({ itemIdentifier: record.messageId })) };
}

async function recorder() {
  const table = await ledger();
  return (event) =>
    batch(event, async (record) => {
      const report = JSON.parse(record.body);
      const key = `sms#${report.id}`;
      const before = (await table.read(key)).get(key);
      const owner = before?.message && `message#${before.message.S}`;
      const row = owner ? (await table.read(owner)).get(owner) : before ?? { pk: { S: key }, id: { S: report.id } };
      const fields = { is: { S: report.status }, at: { N: String(report.received_at_ms) } };
      const reported = { ...row, reports: { L: [...(row.reports?.L ?? []), { M: fields }] } };
      const item = owner ? raised(reported, meanings[report.status]) : reported;
      await table.write({ item, before: owner ? row : before });
      log("report_recorded", { at_id: report.id });
    });
}

// One request; its connection ends with the invocation.
async function post(url, headers, body) {
  const answer = await fetch(url, { method: "POST", headers: { ...headers, connection: "close" }, body });
  return [answer.status, await answer.json()];
}

async function sender() {
  const [table, credentials, keys] = await Promise.all([
    ledger(),
    secret(environment.CREDENTIALS_SECRET_ARN),
    secret(environment.INCOMING_KEY_SECRET_ARN),
  ]);
  return (event) =>
    batch(event, async (record) => {
      const sms = JSON.parse(record.body);
      const number = hash(keys.key, sms.to);
      const text = hash(keys.key, sms.content).slice(0, 16);
      // Of a shape of its own: the bridge could not read it.
      const [own, recipient] = [`message#${sms.id}`, `recipient#node-${number}`];
      const rows = await table.read(own, "account", recipient);
      const before = rows.get(own);
      if (before && before.sending.M.is.S !== "queued") return;
      const calling = {
        pk: { S: own }, id: { S: sms.id }, first_offered_ms: { N: String(sms.first_offered_ms) },
        sending: { M: { is: { S: "calling" }, since_ms: { N: String(Date.now()) } } },
        status: { S: "unsent" }, reported: { S: "unsent" }, attempts: { N: "1" }, number_hash: { S: number },
      };
      const counts = rows.get(recipient)?.counts?.L ?? [];
      const count = { M: { text: { S: text }, at_ms: { N: String(Date.now()) } } };
      const counted = { pk: { S: recipient }, counts: { L: [...counts.slice(-59), count] }, open: { L: [{ S: sms.id }] } };
      await table.write({ item: counted, before: rows.get(recipient) }, { item: calling, before });
      const form = new URLSearchParams({
        username: environment.AFRICASTALKING_USERNAME, to: sms.to, message: sms.content, enqueue: "1",
      });
      const [, answer] = await post(
        `${environment.AFRICASTALKING_BASE_URL}/version1/messaging`,
        {
          apiKey: credentials.africastalking_api_key, accept: "application/json",
          "content-type": "application/x-www-form-urlencoded",
        },
        form.toString(),
      );
      const { messageId, cost } = answer.SMSMessageData.Recipients[0];
      const pointer = `sms#${messageId}`;
      const after = await table.read(own, pointer);
      await table.write(
        {
          item: raised({ ...after.get(own), at_ids: { L: [{ S: messageId }] }, cost: { S: cost } }, "sent"),
          before: after.get(own),
        },
        {
          item: { pk: { S: pointer }, id: { S: messageId }, message: { S: sms.id }, reports: { L: [] } },
          before: after.get(pointer),
        },
      );
      const listed = (await table.read(recipient)).get(recipient);
      await table.write({ item: { ...listed, open: { L: [] } }, before: listed });
      log("send_accepted", { message: sms.id, at_id: messageId });
    });
}

async function exchange() {
  const [table, queue, credentials] = await Promise.all([
    ledger(), sqs(), secret(environment.CREDENTIALS_SECRET_ARN),
  ]);
  const login = Buffer.from(`${credentials.medic_username}:${credentials.medic_password}`).toString("base64");
  return async (event) => {
    const batch = event.Records.map((record, index) => ({
      Id: String(index), ReceiptHandle: record.receiptHandle, VisibilityTimeout: 330,
    }));
    await queue.changeVisibility(environment.EXCHANGE_QUEUE_URL, batch);
    await table.read("exchange");
    let messages = event.Records.map((record) => JSON.parse(record.body)).filter(({ kind }) => kind === "incoming");
    for (let posts = 0; ; posts += 1) {
      const unreported = await table.unreported();
      const rows = unreported.length ? await table.read(...unreported) : new Map();
      const updates = [...rows.values()].map((row) => ({ id: row.id.S, status: row.status.S.toUpperCase() }));
      if (posts > 0 && !messages.length && !updates.length) break;
      const body = {
        messages: messages.map(({ id, from, content, sent_at_ms, received_at_ms }) => ({
          id, from, content, sms_sent: sent_at_ms, sms_received: received_at_ms,
        })),
        updates,
      };
      const [status] = await post(
        `${environment.MEDIC_URL}/api/sms`,
        { authorization: `Basic ${login}`, accept: "application/json", "content-type": "application/json" },
        JSON.stringify(body),
      );
      if (status !== 200) return { batchItemFailures: event.Records.map((record) => ({ itemIdentifier: record.messageId })) };
      for (const { id } of messages) log("message_stored", { id });
      messages = [];
      await Promise.all(
        [...rows.values()].map((row) => {
          const { unreported: _, ...reported } = row;
          return table.write({ item: { ...reported, reported: row.status }, before: row });
        }),
      );
    }
    return { batchItemFailures: [] };
  };
}

// The Lambda Runtime API, without the interface client that Lambda's own image has: that one is
// heavier.
const agent = new http.Agent({ keepAlive: true });
const [host, port] = environment.AWS_LAMBDA_RUNTIME_API.split(":");

function runtime(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: `/2018-06-01/runtime/${path}`, agent }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve([answer.headers, Buffer.concat(parts).toString()]));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const handler = await handlers[environment.AWS_LAMBDA_FUNCTION_NAME]();
for (;;) {
  const [headers, event] = await runtime("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  try {
    await runtime("POST", `invocation/${id}/response`, JSON.stringify(await handler(JSON.parse(event))));
  } catch (error) {
    await runtime("POST", `invocation/${id}/error`, JSON.stringify({ errorMessage: String(error) }));
  }
}
