const LATE = 700;
const LOST = 5_000;
const RESTARTED = "The kernel was restarted and no longer knows this picture.";
const PING = 60_000;
// What Jupyter says of a kernel from which no answer comes any more.
const DOWN = {
  autorestarting: "The kernel died and is started anew.",
  restarting: "The kernel is being restarted.",
  terminating: "The kernel was shut down.",
  dead: "The kernel is dead.",
  gone: "The kernel was shut down.",
};

// What Jupyter calls the state of the kernel behind this page; elsewhere nothing is known of it.
function kernelState({ widget_manager: manager }) {
  const kernel = manager?.kernel;
  if (!manager || !("kernel" in manager)) return "unknown";
  if (!kernel || kernel.isDisposed) return "gone";
  return kernel.connectionStatus === "connected" ? kernel.status : kernel.connectionStatus;
}

// Sends what a person asks for and shows what came of it. A busy kernel answers late, and one that is gone or was restarted never:
// either is said, with what helps. `stale` hears whether the page is without a kernel.
function kernel(model, run, view, say, stale) {
  const asked = new Map();
  const lateOnes = new Set();
  let isLost = false;
  const listen = (message) => {
    // Whatever comes shows that it is not lost; that it was busy is over when it has answered.
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
    // What was clicked, where a terminal can do that; else to look, which it can.
    const verb = ["pause", "resume", "stop", "retry"].includes(kind) ? kind : "show";
    const command = `In a terminal this works at once: xtyl ${verb} ${run}`;
    if (now === "busy" || now === "unknown") {
      if (quiet) return;
      lateOnes.add(id);
      say(`The kernel is ${now === "busy" ? "busy" : "late"} and will answer when its cell ends. ${command}`);
    } else if (now !== "idle") lost(DOWN[now] ?? `The kernel is ${now}.`, quiet);
    // It may be far away.
    else asked.get(id).timer = setTimeout(() => lost(RESTARTED, quiet), LOST - LATE);
  }
  // What nobody clicked for does not say again what may have been dismissed.
  function lost(words, quiet = false) {
    const isNews = !isLost;
    isLost = true;
    lateOnes.clear();
    // Nobody goes on waiting for what may never come.
    for (const [id, { done, timer }] of [...asked]) {
      clearTimeout(timer);
      asked.delete(id);
      done({ ok: false });
    }
    // What a run that is over came to is on the page already.
    const goesOn = !isOver(model.get("state"));
    if (isNews && goesOn) stale(true);
    if (quiet && !(isNews && goesOn)) return;
    const more = `The run goes on: in a cell, xt.attach("${run}") shows it again; in a terminal, xtyl stop ${run} ends it.`;
    say(`${words} ${goesOn ? more : `In a cell, xt.attach("${run}") shows the run again.`}`, "failed");
  }
  // Jupyter tells at once of a kernel that dies, long before anybody asks it something.
  const watch = () => {
    const now = kernelState(model);
    if (DOWN[now]) lost(DOWN[now], true);
    // Back from a sleep, say: what it has to tell may have been missed.
    else if (now === "idle" && isLost) ping();
  };
  const link = model.widget_manager?.kernel;
  const signals = [link?.statusChanged, link?.connectionStatusChanged, link?.disposed].filter(Boolean);
  for (const signal of signals) signal.connect(watch);

  // What nobody clicked for waits in silence, as long as the kernel only works.
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

  // Says each minute that somebody is here: when nobody is any more, the kernel leaves off looking at the run.
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
