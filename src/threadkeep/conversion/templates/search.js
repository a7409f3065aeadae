"use strict";
// Search the texts of all threads. They are in scripts, search/1.js and so on, since a page on the disk may load those
// and nothing else. Each calls threadkeep(number, runs); they are loaded at the first search, one after the other.
(() => {
  const MOST_KEPT = 32e6; // characters of texts that stay in memory; what is beyond is loaded again for each search
  const AT_ONCE = 50; // threads that are found before the search stops
  const SNIPPETS = 3;
  const [BEFORE, BEHIND] = [50, 160];
  const LETTERS = {"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i", "ς": "σ"};

  const at = id => document.getElementById(id);
  const [box, query, status, results, more, contents] = ["search", "query", "status", "results", "more", "contents"].map(at);
  const shards = Number(box.dataset.shards);
  const help = status.textContent;

  // Without capitals and accents. What it makes of a text is what it makes of its characters, one after the other.
  const fold = text => {
    const small = text.toLowerCase();
    return /^[\x00-\x7f]*$/.test(small) ? small : small.normalize("NFKD")
      .replace(/[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670]/g, "")
      .replace(/[łøđßæœıς]/g, letter => LETTERS[letter]);
  };

  // --- loading

  const kept = new Map(), waiting = new Map();
  let size = 0;

  window.threadkeep = (number, runs) => {
    let own = 0;
    for (const run of runs) {
      const texts = run[3], folded = run[4] = [];
      for (let place = 1; place < texts.length; place += 2) {
        folded.push(fold(texts[place]));
        own += texts[place].length;
      }
    }
    if (size + own <= MOST_KEPT) {
      kept.set(number, runs);
      size += own;
    }
    waiting.get(number)?.resolve(runs);
  };

  const load = number => {
    if (kept.has(number)) return kept.get(number);
    if (waiting.has(number)) return waiting.get(number).promise;
    const one = {};
    one.promise = new Promise((resolve, reject) => Object.assign(one, {resolve, reject}));
    waiting.set(number, one);
    const script = document.createElement("script");
    script.charset = "utf-8";
    script.onload = script.onerror = () => {
      script.remove();
      waiting.delete(number);
      one.reject(new Error(`search/${number}.js cannot be read. Is the folder complete?`)); // unless it is resolved
    };
    script.src = `search/${number}.js`;
    document.head.append(script);
    return one.promise;
  };

  // --- searching

  // Words, and words within quotation marks as one.
  const wordsOf = text => Array.from(text.matchAll(/["“„]([^"“”„]+)["“”]?|\S+/g), found => found[1] ?? found[0])
    .map(word => fold(word).trim().replace(/\s+/g, " ")).filter(Boolean);

  // Yield [run, the message's number, its text] of what is found in a shard, and null before each run.
  function* found(runs, words) {
    for (const run of runs) {
      const [, , , texts, folded] = run;
      yield null;
      for (let place = 0; place < folded.length; place++)
        if (words.every(word => folded[place].includes(word))) yield [run, texts[2 * place], texts[2 * place + 1]];
    }
  }

  // The ranges of a text in which words are, as [begin, end] of its own characters.
  const ranges = (text, words) => {
    const places = [];
    let folded = "", place = 0;
    for (const character of text) {
      const small = fold(character);
      for (let count = small.length; count; count--) places.push(place);
      folded += small;
      place += character.length;
    }
    places.push(place);
    const all = [];
    for (const word of words)
      for (let begin = folded.indexOf(word); begin >= 0; begin = folded.indexOf(word, begin + word.length)) {
        let end = begin + word.length;
        while (end < places.length - 1 && places[end] === places[end - 1]) end++;
        all.push([places[begin], places[end]]);
      }
    return all.sort((one, other) => one[0] - other[0]);
  };

  // The place of the first word in a text, without a look at what is behind it.
  const firstPlace = (text, word) => {
    const wanted = fold(text).indexOf(word);
    let folded = 0, place = 0;
    for (const character of text) {
      folded += fold(character).length;
      if (folded > wanted) return place;
      place += character.length;
    }
    return 0;
  };

  const element = (name, className, ...children) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };

  const snippet = (text, words) => {
    const middle = firstPlace(text, words[0]);
    let begin = Math.max(0, middle - BEFORE), end = Math.min(text.length, middle + BEHIND);
    // Between words, if there is a blank near enough.
    const [first, last] = [text.indexOf(" ", begin), text.lastIndexOf(" ", end)];
    if (begin > 0 && first >= 0 && first < middle) begin = first + 1;
    if (end < text.length && last > middle + words[0].length) end = last;
    const shown = text.slice(begin, end);
    const pieces = [begin > 0 ? "…" : ""];
    let reached = 0;
    for (const [from, to] of ranges(shown, words)) {
      if (from < reached) continue;
      pieces.push(shown.slice(reached, from), element("mark", "", shown.slice(from, to)));
      reached = to;
    }
    pieces.push(shown.slice(reached), end < text.length ? "…" : "");
    return pieces;
  };

  const link = (page, number, className, ...children) => {
    const made = element("a", className, ...children);
    made.href = `threads/${page}${number ? `#m-${number}` : ""}`;
    made.dir = "auto";
    return made;
  };

  const threadOf = page => page.replace(/[-.].*/, "");

  const show = (cards, [[page, title, about], number, text], words) => {
    const thread = threadOf(page);
    let card = cards.get(thread);
    if (!card) {
      card = {count: 0, item: element("li", ""), more: element("p", "muted")};
      card.item.append(link(page, number, "to", title), " ", element("span", "muted", about));
      results.append(card.item);
      cards.set(thread, card);
    }
    card.count++;
    if (card.count <= SNIPPETS) card.item.append(link(page, number, "snippet", ...snippet(text, words)));
    else {
      card.more.textContent = `and ${(card.count - SNIPPETS).toLocaleString("en")} more`;
      card.item.append(card.more);
    }
  };

  const counted = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
  const pause = () => new Promise(resolve => setTimeout(resolve));
  const wish = () => new Promise(resolve => more.firstChild.onclick = resolve);
  let latest = 0;

  const search = async () => {
    const own = ++latest, words = wordsOf(query.value);
    const searches = words.length > 0;
    contents.hidden = searches;
    results.hidden = !searches;
    more.hidden = true;
    results.replaceChildren();
    status.textContent = help;
    if (!searches) return;
    const cards = new Map();
    let messages = 0, most = AT_ONCE, begun = performance.now();
    for (let number = 1; number <= shards; number++) {
      const runs = await load(number);
      if (own !== latest) return;
      for (const one of found(runs, words)) {
        if (one && cards.size >= most && !cards.has(threadOf(one[0][0]))) {
          status.textContent = `The first ${counted(cards.size, "thread")}, ${counted(messages, "message")}`;
          more.hidden = false;
          results.ariaBusy = "false";
          await wish();
          results.ariaBusy = "true";
          more.hidden = true;
          most += AT_ONCE;
        } else if (performance.now() - begun > 12) {
          status.textContent = `${counted(cards.size, "thread")}, ${counted(messages, "message")} … ${Math.floor(100 * (number - 1) / shards)} % searched`;
          await pause();
          begun = performance.now();
        }
        if (own !== latest) return;
        if (one) {
          show(cards, one, words);
          messages++;
        }
      }
    }
    status.textContent = messages ? `${counted(cards.size, "thread")}, ${counted(messages, "message")}.` : "Nothing was found.";
  };

  const start = () => {
    const own = latest + 1;
    search().catch(error => { status.textContent = error.message; })
      .finally(() => { if (own === latest) results.ariaBusy = "false"; });
  };

  // The search is in the address, so that it is there again when one comes back from a thread.
  let timer;
  query.oninput = () => {
    clearTimeout(timer);
    results.ariaBusy = "true";
    timer = setTimeout(() => {
      const address = query.value ? `#q=${encodeURIComponent(query.value)}` : "#";
      history.replaceState(null, "", address);
      start();
    }, 150);
  };
  const restore = () => {
    const [, asked] = /^#q=(.*)/s.exec(location.hash) ?? [];
    if (asked === undefined) return;
    try { query.value = decodeURIComponent(asked); } catch { return; }
    start();
  };
  box.hidden = false;
  window.onpageshow = event => { if (!event.persisted) restore(); };
})();
