// Events in words. The sentences of the log come from the functions.

/** The name of each place. */
export const PLACES = {
  phone: "the phone",
  "africas-talking": "Africa's Talking",
  exchange: "the queue exchange.fifo",
  "exchange-dead-letter": "the dead-letter queue",
  "medic-exchange": "medic-exchange, in a POST to Medic",
  medic: "Medic",
  outbox: "the queue outbox",
  "outbox-dead-letter": "the dead-letter queue",
  "outbound-sender": "outbound-sender, calling Africa's Talking",
  reports: "the queue reports",
  "reports-dead-letter": "the dead-letter queue",
  ledger: "the ledger",
  failed: "not sent; Medic gets the reason",
  nowhere: "nowhere",
};

const short = (id) => String(id).replace(/^ATXid_/, "").slice(0, 8);

/** Fields of a log line that say which one, what or why; their values are text. */
const TEXTS = ["status", "code", "reason", "cause", "error", "place", "advice", "cost", "balance", "callback"];
/** Fields of a log line that say how many. */
const COUNTS = { messages: "SMS", updates: "statuses", offers: "offers", records: "records", oldest_s: "s old" };

/** A text as it is, a name that the functions gave in words: `insufficient_balance`. */
export const inWords = (text) => (/^[a-z_]+$/.test(text) ? text.replaceAll("_", " ") : text);

/** The text of a log line: its message, and its fields in brackets. */
export function sentence(line) {
  const id = line.id ?? line.medic_id ?? line.at_id;
  const texts = TEXTS.map((name) => line[name]).filter((text) => text != null && text !== "");
  const counts = Object.keys(COUNTS).filter((name) => line[name] != null);
  const more = [
    ...(id ? [short(id)] : []),
    ...texts.map((text) => inWords(String(text))),
    ...counts.map((name) => `${line[name]} ${COUNTS[name]}`),
  ];
  return more.length === 0 ? line.message : `${line.message.replace(/\.$/, "")} (${more.join(", ")}).`;
}

export function time(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** How long until then, in words. */
export function until(ms) {
  const seconds = Math.round((ms - Date.now()) / 1000);
  if (seconds <= 0) return "now";
  if (seconds < 90) return `in ${seconds} s`;
  return `in ${Math.round(seconds / 60)} min`;
}

export function times(count) {
  return count === 1 ? "once" : count === 2 ? "twice" : `${count} times`;
}

const STATES = {
  pending: ["pending", "going"],
  "forwarded-to-gateway": ["offered", "going"],
  "received-by-gateway": ["with the bridge", "going"],
  "forwarded-by-gateway": ["on its way", "going"],
  sent: ["sent", "going"],
  delivered: ["delivered", "good"],
  failed: ["failed", "bad"],
  unrecognised: ["unrecognised", "bad"],
  duplicate: ["kept as a duplicate", "waiting"],
  scheduled: ["not due yet", "going"],
  muted: ["muted", "waiting"],
  cleared: ["cleared", "waiting"],
  denied: ["denied", "waiting"],
};

/** Medic's state of an outgoing message: in words, and how good it is. */
export const state = (name) => STATES[name] ?? [name, "going"];

/** The outcome of an SMS that a phone sent: in words, and how good it is. */
export function outcome(sms) {
  if (sms.place === "nowhere") return ["lost", "bad"];
  if (sms.stored > 1) return [`in Medic ${times(sms.stored)}`, "bad"];
  if (sms.stored === 1) return ["Medic has it", "good"];
  if (sms.place === "medic") return ["Medic has answered for it", "good"];
  if (sms.place === "exchange-dead-letter") return [`dead-lettered: ${sms.wait.reason ?? "after a thousand tries"}`, "bad"];
  if (sms.place === "medic-exchange") return ["being reported to Medic", "going"];
  if (sms.place === "exchange" && sms.wait.receives > 0) {
    return [`waits, tried ${times(sms.wait.receives)}`, "waiting"];
  }
  if (sms.place === "exchange") return ["safe in the queue", "going"];
  if (sms.is_over && !(sms.status >= 200 && sms.status < 300)) {
    return ["not accepted; Africa's Talking still has it", "bad"];
  }
  return ["being sent", "going"];
}
