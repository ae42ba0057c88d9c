// The reference: languages as tabs whose choice is remembered, code to copy, the section one is in.

const said = document.querySelector("[role=status]");
const REMEMBERED = "language";

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // a browser that keeps nothing
  }
}

function remember(language) {
  try {
    localStorage.setItem(REMEMBERED, language);
  } catch {
    // the choice holds until the page is left
  }
}

function choose(tabs, chosen) {
  for (const tab of tabs) {
    const isChosen = tab === chosen;
    tab.setAttribute("aria-selected", isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
}

function tabOf(section, number) {
  const heading = section.querySelector("h4");
  const tab = document.createElement("button");
  tab.type = "button";
  tab.role = "tab";
  tab.id = `tab-${number}`;
  tab.textContent = heading.textContent;
  section.id = `panel-${number}`;
  section.role = "tabpanel";
  tab.setAttribute("aria-controls", section.id);
  heading.hidden = true;
  return tab;
}

function makeTabs(box) {
  const list = document.createElement("div");
  list.role = "tablist";
  list.setAttribute("aria-label", "Language");
  const tabs = [...box.querySelectorAll("section")].map(tabOf);
  list.append(...tabs);
  box.prepend(list);
  const asked = location.hash ? document.getElementById(location.hash.slice(1))?.closest("section") : null;
  const named = tabs.find((tab) => tab.getAttribute("aria-controls") === asked?.id);
  choose(tabs, named ?? tabs.find((tab) => tab.textContent === remembered()) ?? tabs[0]);
  list.addEventListener("click", (event) => {
    if (!tabs.includes(event.target)) return;
    choose(tabs, event.target);
    remember(event.target.textContent);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
}

async function copy(button, source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    document.execCommand("copy"); // where the page came without TLS there is no clipboard
  }
  button.textContent = "Copied";
  said.textContent = "Copied";
  setTimeout(() => {
    button.textContent = "Copy";
    said.textContent = "";
  }, 2000);
}

function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", () => copy(button, block.querySelector("pre")));
  block.append(button);
}

function markSection() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const headings = [...links.keys()].map((id) => document.getElementById(id));
  const mark = () => {
    const here = headings.findLast((heading) => heading.getBoundingClientRect().top < 120) ?? headings[0];
    for (const [id, link] of links) {
      if (id === here.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
  mark();
}

document.querySelectorAll(".tabs").forEach(makeTabs);
document.querySelectorAll(".code").forEach(addCopyButton);
markSection();
