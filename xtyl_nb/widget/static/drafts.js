// Unfinished decisions at the reviews of a widget: kept while the page redraws, and in the tab's own storage over a reload.
const begun = new Map();

function beginnings(key) {
  const place = `xtyl-drafts-${key}`;
  if (!begun.has(key)) begun.set(key, { drafts: stored(place), note: null, at: null, making: null });
  const kept = begun.get(key);
  // An answer that the earlier page waited for does not come here.
  for (const mine of kept.drafts.values()) mine.busy = false;

  function save() {
    const drafts = [...kept.drafts].filter(([, mine]) => isBegun(mine));
    try {
      if (drafts.length) sessionStorage.setItem(place, JSON.stringify(drafts.map(([at, mine]) => [at, slim(mine)])));
      else sessionStorage.removeItem(place);
    } catch {
      // A browser may refuse to store anything for a page.
    }
  }
  window.addEventListener("pagehide", save);
  return { kept, close: () => window.removeEventListener("pagehide", save) };
}

const unbegun = () => ({ chosen: [], edits: {}, reason: "", comment: "", rejecting: false, says: "", busy: false });
const isBegun = ({ chosen, comment, reason }) => Boolean(chosen.length || comment || reason);

function stored(place) {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(place) ?? "[]").map(([at, mine]) => [at, { ...unbegun(), ...mine }]));
  } catch {
    return new Map();
  }
}

// The text of a review that tells its options apart, without their images.
function slim({ chosen, edits, reason, comment, rejecting, review }) {
  const { node, item, row, label, options } = review;
  const marks = options.map(({ index, mark }) => ({ index, mark }));
  return { chosen, edits, reason, comment, rejecting, review: { node, item, row, label, options: marks } };
}
