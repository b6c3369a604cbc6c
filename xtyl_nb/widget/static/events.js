// The events, newest first: read while the list is shown, after new ones, at most once a second.
function eventLog(ask) {
  const box = make("div", "events");
  const list = make("div", "log");
  let [asked, known, newest, later] = [-Infinity, null, 0, null];
  box.append(list);

  function touch(state) {
    if (known === state.nodes) return;
    clearTimeout(later);
    later = setTimeout(() => {
      known = state.nodes;
      open();
    }, Math.max(0, asked + 1000 - performance.now()));
  }

  function open() {
    asked = performance.now();
    ask("events", {}, (answer) => {
      if (!answer.ok) return answer.error && list.replaceChildren(make("p", "bad", answer.error));
      if (answer.events[0]?.number === newest) return;
      newest = answer.events[0]?.number;
      list.replaceChildren(...answer.events.map((event) => {
        const row = make("div", "event");
        row.append(make("span", "soft", event.number), make("span", "soft", `+${lasted(event.at)}`));
        row.append(make("b", "", event.kind), make("span", "", event.where), make("span", "soft", event.says));
        return row;
      }));
    });
  }
  return { box, touch, close: () => clearTimeout(later) };
}
