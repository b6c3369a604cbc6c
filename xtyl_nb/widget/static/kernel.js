const LATE = 700;
const LOST = 5_000;
const RESTARTED = "The kernel was restarted and no longer knows this picture.";
const PING = 60_000;
// Jupyter's states of a kernel that no longer answers.
const DOWN = {
  autorestarting: "The kernel died and is being restarted.",
  restarting: "The kernel is being restarted.",
  terminating: "The kernel was shut down.",
  dead: "The kernel is dead.",
  gone: "The kernel was shut down.",
};

// Jupyter's state of the kernel behind this page; unknown outside Jupyter.
function kernelState({ widget_manager: manager }) {
  const kernel = manager?.kernel;
  if (!manager || !("kernel" in manager)) return "unknown";
  if (!kernel || kernel.isDisposed) return "gone";
  return kernel.connectionStatus === "connected" ? kernel.status : kernel.connectionStatus;
}

// Sends a person's requests and shows their results. A busy kernel answers late, one that is gone or was restarted never: the page
// tells both, with a remedy. `stale` hears whether the page is without a kernel.
function kernel(model, run, view, say, stale) {
  const asked = new Map();
  const lateOnes = new Set();
  let isLost = false;
  const listen = (message) => {
    // Any message shows that the kernel is not lost; an answer ends the note that it is busy.
    if (isLost) {
      isLost = false;
      say("");
      stale(false);
    }
    if (message.kind !== "answer" || !asked.has(message.ask)) return;
    const { done, timer } = asked.get(message.ask);
    asked.delete(message.ask);
    clearTimeout(timer);
    if (lateOnes.delete(message.ask) && !lateOnes.size) say("");
    done(message);
  };
  model.on("msg:custom", listen);

  function late(id, kind, quiet) {
    const now = kernelState(model);
    // The clicked verb, if a terminal offers it; otherwise a look at the run.
    const verb = ["pause", "resume", "stop", "retry"].includes(kind) ? kind : "show";
    const command = `In a terminal this works at once: xtyl ${verb} ${run}`;
    if (now === "busy" || now === "unknown") {
      if (quiet) return;
      lateOnes.add(id);
      say(`The kernel is ${now === "busy" ? "busy" : "late"} and will answer when its cell ends. ${command}`);
    } else if (now !== "idle") lost(DOWN[now] ?? `The kernel is ${now}.`, quiet);
    // An idle kernel may be far away, and slow to answer.
    else asked.get(id).timer = setTimeout(() => lost(RESTARTED, quiet), LOST - LATE);
  }
  // A request without a click does not repeat a message that may have been dismissed.
  function lost(words, quiet = false) {
    const isNews = !isLost;
    isLost = true;
    lateOnes.clear();
    // Pending requests end, because their answers may never come.
    for (const [id, { done, timer }] of [...asked]) {
      clearTimeout(timer);
      asked.delete(id);
      done({ ok: false });
    }
    // The page already shows the results of a finished run.
    const goesOn = !isOver(model.get("state"));
    if (isNews && goesOn) stale(true);
    if (quiet && !(isNews && goesOn)) return;
    const more = `The run goes on: in a cell, xt.attach("${run}") shows it again; in a terminal, xtyl stop ${run} ends it.`;
    say(`${words} ${goesOn ? more : `In a cell, xt.attach("${run}") shows the run again.`}`, "failed");
  }
  // Jupyter reports a kernel's death at once, long before the next request.
  const watch = () => {
    const now = kernelState(model);
    if (DOWN[now]) lost(DOWN[now], true);
    // For example after a sleep: messages may have been missed.
    else if (now === "idle" && isLost) ping();
  };
  const link = model.widget_manager?.kernel;
  const signals = [link?.statusChanged, link?.connectionStatusChanged, link?.disposed].filter(Boolean);
  for (const signal of signals) signal.connect(watch);

  // A request without a click waits silently while the kernel is busy.
  function ask(kind, details, done, { quiet = false } = {}) {
    const id = crypto.randomUUID?.() ?? String(Math.random());
    asked.set(id, { done, timer: setTimeout(() => late(id, kind, quiet), LATE) });
    try {
      model.send({ kind, ask: id, ...details });
    } catch {
      const now = kernelState(model);
      lost(["busy", "idle"].includes(now) ? RESTARTED : DOWN[now] ?? `The kernel that showed this is ${now === "unknown" ? "gone" : now}.`, quiet);
    }
  }

  // Reports each minute that the page is open: without any page, the kernel stops following the run.
  const ping = () => ask("ping", { view, number: model.get("state").number }, () => {}, { quiet: true });
  const again = () => document.visibilityState === "visible" && ping();
  const pings = setInterval(ping, PING);
  document.addEventListener("visibilitychange", again);
  model.send({ kind: "opened", view });
  const close = () => {
    clearInterval(pings);
    for (const signal of signals) signal.disconnect(watch);
    document.removeEventListener("visibilitychange", again);
    model.off("msg:custom", listen);
    for (const { timer } of asked.values()) clearTimeout(timer);
    model.send({ kind: "closed", view });
  };
  return { ask, close };
}
