// The panel of a node: its parameters, its jobs with their places in time, and one job with all its details.
function details(wording, choose, ask, enlarge) {
  const box = make("div", "panel");
  let nodes = new Map();
  let [id, item, page, job, seen, asked, wrong] = [null, null, null, null, null, -Infinity, ""];
  let [state, elapsed, timer] = [null, 0, 0];

  function update(chosen, now, seconds) {
    [state, elapsed] = [now, seconds];
    if (chosen !== id) [id, item, page, job, seen, asked, wrong] = [chosen, null, null, null, null, -Infinity, ""];
    const node = now.nodes[id];
    if (!node || !nodes.has(id)) return;
    if (node !== seen) soon();
    show();
  }

  const redraw = (graph) => { nodes = new Map(graph.nodes.map((node) => [node.id, node])); };

  // Read again only after an event of the node.
  function soon() {
    seen = state.nodes[id];
    clearTimeout(timer);
    // Many jobs take long to read.
    const pages = Math.ceil((page?.jobs.length ?? 1) / 50);
    // A panel that was just opened says why it stays empty.
    const isFirst = asked === -Infinity;
    timer = setTimeout(() => look(0, !isFirst), Math.max(0, asked + 700 * pages - performance.now()));
  }

  // The whole list that is shown, or the page after it.
  function look(start = 0, quiet = true) {
    asked = performance.now();
    const [of, at] = [id, item];
    const done = (take) => (answer) => {
      if (of !== id || at !== item) return;
      wrong = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
      if (answer.ok) take(answer);
      show();
    };
    if (item !== null) return ask("job", { node: id, item }, done((answer) => { job = answer.job; }), { quiet });
    ask("jobs", { node: id, start, count: start ? 1 : page?.jobs.length }, done((answer) => {
      const before = start ? page.jobs.slice(0, start).filter((job) => !answer.jobs.some(({ item }) => item === job.item)) : [];
      page = { ...answer, jobs: [...before, ...answer.jobs] };
    }), { quiet });
  }

  function open(next) {
    [item, job] = [next, null];
    look(0, false);
    show();
    scroll.scrollTop = 0;
    box.querySelector("button")?.focus();
  }

  // Text that a person may read or copy is redrawn only when it changes; in between only the times move.
  const parts = { title: region("h5"), facts: region("dl"), asked: region("dl"), job: region("div"), jobs: region("div", "jobs") };
  const scroll = make("div", "scroll");
  const says = make("p", "bad");
  scroll.append(says, parts.facts.box, parts.asked.box, parts.job.box, parts.jobs.box);
  box.append(parts.title.box, scroll);

  function show() {
    const [node, now] = [nodes.get(id), state.nodes[id]];
    says.textContent = wrong;
    says.hidden = !wrong;
    parts.title.draw([id, item], () => {
      const buttons = make("span", "end");
      if (item !== null) buttons.append(button("‹ All jobs", () => open(null), "quiet"));
      buttons.append(button("Close", () => choose(null), "quiet"));
      return [make("span", "", node.name), make("span", "soft", item === null ? node.kind : ""), buttons];
    });
    const one = item !== null;
    for (const [name, part] of Object.entries(parts)) part.box.hidden = name !== "title" && one !== (name === "job");
    if (one) parts.job.draw([id, item, job], () => job ? [oneJob(job)] : [make("p", "soft", "Looking…")]);
    else {
      const counts = Object.entries(now.counts).map(([kind, count]) => `${count} ${kind}`).join(", ");
      parts.facts.draw([id, now.state, counts, now.error, now.branches], (list) => facts(list, now, counts));
      parts.asked.draw([id], (list) => node.asked.forEach(([name, value]) => liner(list)(name, value)));
      parts.jobs.draw([id, page], (list) => jobs(list));
    }
    for (const tick of box.querySelectorAll("[data-ticks]")) tick.tick(elapsed);
  }

  // Text that is written again as time goes on.
  function ticking(node, write) {
    node.dataset.ticks = "";
    node.tick = (seconds) => {
      const text = write.call(node, seconds);
      if (typeof text === "string" && node.textContent !== text) node.textContent = text;
    };
    return node;
  }

  function facts(list, now, counts) {
    const line = liner(list);
    line("state", `${wording[now.state]}${counts ? ` (${counts})` : ""}`);
    line("branches", now.branches);
    if (now.start != null) list.append(make("dt", "", "time"), ticking(make("dd"), (seconds) => lasted(atWork(state.nodes[id], seconds))));
    line("error", now.error, "bad");
  }

  function jobs(list) {
    list.append(...(page?.jobs ?? []).map(jobLine));
    const left = page ? page.total - page.jobs.length : 0;
    if (left > 0) list.append(button(`${Math.min(left, 50)} more of ${left}`, () => look(page.jobs.length, false), "quiet"));
  }

  function jobLine(each) {
    const row = button("", () => open(each.item), `job ${each.state}`);
    row.append(icon(each.state === "quarantined" ? "failed" : each.state === "blocked" ? "pending" : each.state));
    if (each.thumb) row.append(picture(each.thumb));
    const words = make("span", "words");
    if (each.item.includes(".")) words.append(make("b", "", each.label), make("span", "soft item", each.item));
    else words.append(make("b", "", each.label));
    words.append(make("span", each.state === "failed" ? "bad" : "soft", each.line ?? ""));
    const rail = make("span", "rail");
    if (each.start !== null) {
      ticking(rail.appendChild(make("i", each.state)), function (seconds) {
        placed(this, each.start, each.end ?? seconds, seconds);
      });
    }
    const took = (seconds) => each.start === null ? "" : lasted((each.end ?? seconds) - each.start);
    row.append(words, rail, ticking(make("span", "took"), took));
    row.title = `${each.label}: ${each.state}${each.tries > 1 ? `, ${each.tries} attempts` : ""}`;
    return row;
  }

  function oneJob(each) {
    const list = make("dl");
    const line = liner(list);
    line("job", `${each.label} · ${each.item}`);
    line("state", `${each.state}${each.cached ? ", taken from an earlier result" : ""}`);
    if (each.start !== null) list.append(make("dt", "", "time"), ticking(make("dd"), (seconds) => lasted((each.end ?? seconds) - each.start)));
    if (each.decision) decided(list, each.decision);
    line("by", [each.provider, each.model].filter(Boolean).join(" · "));
    line("cost", each.paid);
    const last = each.attempts.at(-1);
    line("progress", last?.reached);
    if (last?.printed) list.append(make("dt", "", "printed"), printed(last));
    line("warning", each.warning, "bad");
    line("error", each.error, "bad");
    if (each.traceback) list.append(make("dt", "", ""), folded("traceback", make("pre", "", each.traceback)));
    line("result", each.text, "result");
    if (each.images.length) {
      const images = make("dd", "thumbs large");
      const all = each.images.map((image, place) => ({ image, words: each.label, of: { node: id, item: each.item, image: place } }));
      images.append(...all.map(({ image }, place) => {
        const open = button("", () => enlarge(all, place), "plain");
        open.setAttribute("aria-label", `Enlarge image ${place + 1}`);
        open.append(picture(image));
        return open;
      }));
      list.append(make("dt", "", "images"), images);
    }
    for (const [name, value] of each.asked) line(name, value);
    if (each.attempts.length) list.append(make("dt", "", "attempts"), attempts(each.attempts));
    return list;
  }
  return { box, update, redraw, look: open, close: () => clearTimeout(timer) };
}

// A part of the panel that is redrawn only for another key. The focus in it stays at the same place.
function region(tag, className) {
  const box = make(tag, className);
  let [last, written] = [[], ""];
  function draw(key, fill) {
    if (key.length === last.length && key.every((part, place) => part === last[place])) return;
    last = key;
    // The same answer may come again as another object.
    const now = JSON.stringify(key);
    if (now === written) return;
    written = now;
    const focused = [...box.querySelectorAll("button")].indexOf(active(box));
    const opened = [...box.querySelectorAll("details")].map((each) => each.open);
    const scrolled = [...box.querySelectorAll("pre.prints")].map((each) => isAtEnd(each) ? null : each.scrollTop);
    box.replaceChildren();
    box.append(...(fill(box) ?? []));
    box.querySelectorAll("details").forEach((each, at) => { each.open = opened[at] ?? each.open; });
    // The end of what a running job prints stays in view, unless a person has scrolled to another place.
    box.querySelectorAll("pre.prints").forEach((each, at) => {
      const follows = scrolled[at] === undefined ? "follows" in each.dataset : scrolled[at] === null;
      each.scrollTop = follows ? each.scrollHeight : scrolled[at] ?? 0;
    });
    if (focused >= 0) box.querySelectorAll("button")[focused]?.focus({ preventScroll: true });
  }
  return { box, draw };
}

function decided(list, { action, by, at, comment, choice, edits }) {
  const line = liner(list);
  line("decided", decidedBy({ action, by, at, choice }));
  line(action === "rejected" ? "reason" : "comment", comment);
  for (const { node, before, after } of edits) {
    const text = make("dd", "result");
    text.append(make("del", "soft", before), make("ins", "", after));
    list.append(make("dt", "", `${node}, edited`), text);
  }
}

const liner = (list) => (name, value, className) => {
  if (value) list.append(make("dt", "", name), make("dd", className, value));
};

function folded(label, content) {
  const box = make("dd");
  const inner = box.appendChild(make("details"));
  inner.append(make("summary", "soft", label), content);
  return box;
}

const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 4;

// What an attempt printed.
function printed(attempt) {
  const box = make("dd");
  const text = make("pre", "prints", attempt.printed);
  text.tabIndex = 0;
  if (attempt.outcome === "running") text.dataset.follows = "";
  box.append(text);
  return box;
}

function attempts(all) {
  const box = make("dd");
  for (const each of all) {
    const took = each.seconds === null ? "" : ` in ${lasted(each.seconds)}`;
    const became = each.outcome === "waiting" ? "put to a person" : each.outcome + took;
    const line = make("div", "", `${each.number}. ${each.because}, at +${lasted(each.start)}: ${became}`);
    if (each.error) line.append(make("span", "soft", ` · ${each.error}`));
    box.append(line);
    for (const said of [each.request, ...each.notes].filter(Boolean)) box.append(make("div", "soft", said));
    if (each.answer) box.append(...folded("the answer, as it came", make("pre", "", each.answer)).children);
    // The prints of the last attempt stand above.
    if (each.printed && each !== all.at(-1)) {
      const before = box.appendChild(make("details"));
      before.append(make("summary", "soft", `printed${each.reached ? `, ${each.reached}` : ""}`), printed(each).firstChild);
    }
  }
  return box;
}
