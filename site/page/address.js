// The address holds what is in the page. Browsers let a page write it 100 times in 30 s, so quick changes are written together.
const WAIT = 400, UNWRITTEN = "pusa-lab-unwritten";
let written = location.hash, wanted = null, timer = null, last = -Infinity;

function drop() {
  clearTimeout(timer);
  [timer, wanted] = [null, null];
}

function write() {
  if (wanted !== null && location.hash === written) { // else a link was just opened, and is about to be read
    history.replaceState(null, "", wanted);
    [written, last] = [location.hash, performance.now()];
  }
  drop();
}

/** Let the address end in a hash, at once or soon. */
export function keepAddress(hash) {
  wanted = hash;
  timer ??= setTimeout(write, Math.max(WAIT - (performance.now() - last), 0));
}

/** How the address ends; what was still to be written there is dropped. */
export function readAddress() {
  drop();
  written = location.hash;
  return written;
}

// A reload goes to the address as it was when it was asked for, so what comes after that is handed over.
addEventListener("pagehide", () => {
  if (wanted === null) return;
  try { sessionStorage.setItem(UNWRITTEN, JSON.stringify([location.hash, wanted])); } catch { /* this browser keeps nothing */ }
  write();
});
try {
  const [was, now] = JSON.parse(sessionStorage.getItem(UNWRITTEN) ?? "[]");
  sessionStorage.removeItem(UNWRITTEN);
  if (was === location.hash && performance.getEntriesByType("navigation")[0].type === "reload") {
    keepAddress(now);
    write();
  }
} catch { /* this browser keeps nothing */ }
