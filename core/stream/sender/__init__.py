"""The sending end of STREAM: probes a path, and pays over it packet by packet.

`terms` says what a payment is and what becomes of it. What decides does no I/O and knows no task:
`probe` finds rate and limits of a path, `payment` says what to send next and takes what came back,
with `rate`, `path_maximum`, `window`, `pauses` and `outgoing_data` each deciding one thing for it.
`sender` drives them: `StreamSender(send, clock, tasks)` has `quote(terms)`, which raises QuoteFailed,
and `pay(terms, quote, on_progress=…, cancel=…)`, which always returns an Outcome.
"""
