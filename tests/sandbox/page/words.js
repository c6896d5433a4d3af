// What happens, in sentences.

/** What each place is called. */
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
  failed: "not sent; Medic hears why",
  nowhere: "nowhere",
};

const FAILURES = {
  invalid_sender_id: "the sender id is not registered",
  insufficient_balance: "there is no credit",
  credentials_refused: "the API key or the user name is refused",
  wrong_address: "nothing at this address takes messages",
  no_answer: "it does not answer, or with errors of its own",
};

export const accountFailure = (name) => FAILURES[name] ?? name;

const short = (id) => (id ? String(id).replace(/^ATXid_/, "").slice(0, 8) : "one");
const plural = (count, one, many) => (count === 1 ? `one ${one}` : `${count} ${many}`);

const SENTENCES = {
  incoming_queued: (l) => `SMS ${short(l.id)} is in the queue; now Africa's Talking gets its 200.`,
  report_queued: (l) => `A report about ${short(l.at_id)} is in the queue; now Africa's Talking gets its 200.`,
  key_refused: () => "A callback came with a wrong key, and was refused.",
  key_not_configured: () => "No incoming key is configured.",
  key_out_of_reach: () => "The incoming key cannot be read; the callback was not accepted.",
  callback_refused: (l) => `A callback was refused: ${l.reason}.`,
  callback_not_queued: () => "The queue did not take a callback; Africa's Talking got no 200 and will come again.",
  report_recorded: (l) =>
    l.message
      ? `The report about ${short(l.message)} is in the ledger${l.status ? `: now ${l.status}` : ""}.`
      : `A report about ${short(l.at_id)}, which nobody knows yet, is kept.`,
  unknown_report_status: () => "A report has a status that is in no list; it changes nothing.",
  report_matched: (l) => `A report shows that ${short(l.message)} was sent after all.`,
  report_match_ambiguous: () => "A report could belong to several messages; nothing is concluded.",
  ended: (l) => `The last word on ${short(l.message)}: ${l.status}.`,
  answered: (l) => `Africa's Talking has answered about ${short(l.message)}: ${l.code.replaceAll("_", " ")}.`,
  send_accepted: (l) => `Africa's Talking has taken ${short(l.message)}.`,
  send_failed: (l) => `${short(l.message)} will not be sent: ${l.reason}.`,
  send_postponed: (l) => `${short(l.message)} surely was not sent (${l.reason}); it is tried again.`,
  send_outcome_unknown: (l) =>
    `Nobody knows whether ${short(l.message)} was sent (${l.reason}); a delivery report is awaited before anything else.`,
  circuit_opened: (l) => `The circuit breaker is open: ${accountFailure(l.cause)}. One message probes now and then.`,
  circuit_still_open: (l) => `The circuit breaker stays open: ${accountFailure(l.cause)}.`,
  circuit_closed: () => "The circuit breaker is closed: sending goes on.",
  recipient_limit_exceeded: (l) => `The recipient limit stops ${short(l.message)}: ${l.reason}.`,
  id_taken_back: (l) => `An id of Africa's Talking belongs to ${short(l.message)} after all.`,
  acceptance_queued: (l) => `The answer about ${short(l.message)} is kept in the queue until the ledger takes it.`,
  balance_read: (l) => `The credit with Africa's Talking: ${l.balance}.`,
  balance_unknown: (l) => `The credit with Africa's Talking cannot be read: ${l.cause}.`,
  posted: (l) =>
    `Medic answered 200 to ${plural(l.messages, "SMS", "SMS")} and ${plural(l.updates, "status", "statuses")}, and wants ${l.offers} sent.`,
  message_stored: (l) => `Medic has SMS ${short(l.id)}.`,
  message_offered: (l) => `${short(l.message)} goes into the outbox.`,
  offer_unreadable: () => "Medic offers something that cannot be read.",
  status_reported: (l) => `Medic knows: ${short(l.message)} is ${l.status}.`,
  status_refused: (l) => `Medic refuses the status of ${short(l.message)} while it takes others.`,
  medic_unavailable: (l) => `${l.cause}. What was in hand goes back into the queue.`,
  medic_needs_attention: (l) => `${l.cause}. Everything waits; somebody has to fix it.`,
  medic_refused_credentials: (l) => `${l.cause}. Everything waits for minutes: ten refusals would lock the user.`,
  statuses_unreported: (l) => `Medic has not been told a status for ${l.oldest_s} s.`,
  awaiting_final_report: (l) => `${plural(l.messages, "SMS has", "SMS have")} had no final report for a day.`,
  dead_lettered: (l) => `Sent to the dead-letter queue: ${l.reason}.`,
  returned_for_retry: (l) => `${plural(l.records, "message waits", "messages wait")} on, the oldest for ${l.oldest_s} s already.`,
  ledger_failed: (l) => `The ledger: ${l.error}.`,
  row_unreadable: (l) => `A row of the ledger cannot be read: ${l.error}.`,
  queue_failed: (l) => `A queue: ${l.error}.`,
  credentials_unavailable: (l) => `The credentials: ${l.error}.`,
  batch_unreadable: () => "A batch cannot be read.",
  cannot_run: (l) => `The function cannot run: ${l.error}.`,
  panicked: (l) => `The function has panicked at ${l.place}; its batch comes again.`,
};

export function sentence(line) {
  const words = SENTENCES[line.event];
  return words ? words(line) : line.event.replaceAll("_", " ");
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
};

/** Medic's state of an outgoing message: in words, and how good it is. */
export const state = (name) => STATES[name] ?? [name, "going"];

/** What became of an SMS that a phone sent: in words, and how good it is. */
export function outcome(sms) {
  if (sms.place === "nowhere") return ["lost", "bad"];
  if (sms.stored > 1) return [`in Medic ${times(sms.stored)}`, "bad"];
  if (sms.stored === 1) return ["Medic has it", "good"];
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
