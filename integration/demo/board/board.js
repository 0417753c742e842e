// Shows board.txt: a line "# Name" starts a column, "- text" is a card in it.
// Asks once a second whether the file has changed; the answer is mostly "no".

const board = document.getElementById('board')
const state = document.getElementById('state')
let shown = null

function parse(text) {
  const columns = []
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) columns.push({ name: line.replace(/^#+\s*/, ''), cards: [] })
    else if (/^[-*]\s/.test(line)) {
      if (columns.length === 0) columns.push({ name: '', cards: [] })
      columns.at(-1).cards.push(line.slice(2).trim())
    }
  }
  return columns
}

function element(tag, text, ...children) {
  const e = document.createElement(tag)
  if (text !== null) e.textContent = text
  e.append(...children)
  return e
}

function show(text) {
  const before = new Set([...board.querySelectorAll('article')].map(e => e.textContent))
  board.replaceChildren(...parse(text).map(column =>
    element('section', null, element('h2', column.name), ...column.cards.map(card => {
      const e = element('article', card)
      if (shown !== null && !before.has(card)) e.className = 'new'
      return e
    }))))
  shown = text
}

async function refresh() {
  try {
    const answer = await fetch('board.txt', { cache: 'no-cache' })
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
    const text = await answer.text()
    if (text !== shown) show(text)
    state.textContent = 'live'
  } catch (error) {
    state.textContent = `not live: ${error.message}`
  }
}

await refresh()
setInterval(refresh, 1000)
