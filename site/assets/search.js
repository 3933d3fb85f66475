// The lines under each result of a search. Sphinx would fetch the page that was found, which browsers refuse for
// file://; here the text of all pages is a script beside this one, texts.js, which sets PAGE_TEXTS.
(() => {
  const results = document.getElementById("search-results");
  if (!results) return;
  const query = new URLSearchParams(window.location.search).get("q") || "";
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const explain = (item) => {
    const link = item.querySelector("a");
    if (!link || item.dataset.explained) return;
    item.dataset.explained = "yes";
    const page = decodeURIComponent(link.getAttribute("href").split(/[?#]/)[0]).replace(/\.html$/, "");
    const text = (window.PAGE_TEXTS || {})[page];
    if (!text) return;
    const lower = text.toLowerCase();
    const found = words.map((word) => lower.indexOf(word)).filter((at) => at >= 0);
    const start = found.length ? Math.max(0, Math.min(...found) - 80) : 0;
    const line = document.createElement("p");
    line.className = "context";
    line.textContent = `${start ? "… " : ""}${text.slice(start, start + 220).trim()} …`;
    item.append(line);
  };
  new MutationObserver(() => results.querySelectorAll("li").forEach(explain)).observe(results, {
    childList: true,
    subtree: true,
  });
})();
