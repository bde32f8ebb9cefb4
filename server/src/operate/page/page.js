'use strict';

/** How often the page asks, in milliseconds. */
const REFRESH_MS = 2000;

/** What each plot draws: one or two series, and how a value is written. */
const PLOTS = [
  {
    title: 'Throughput',
    series: [
      { key: 'requests_per_s', name: 'requests' },
      { key: 'mutations_per_s', name: 'writes' },
    ],
    write: (value) => `${figure(value)}/s`,
  },
  {
    title: 'Latency of requests',
    series: [
      { key: 'p99_ms', name: '99 of 100 within' },
      { key: 'p50_ms', name: 'half within' },
    ],
    write: (value) => `${figure(value)} ms`,
  },
  {
    title: 'Network',
    series: [
      { key: 'sent_bytes_per_s', name: 'sent' },
      { key: 'received_bytes_per_s', name: 'received' },
    ],
    write: (value) => `${bytes(value)}/s`,
  },
  {
    title: 'Connections',
    series: [{ key: 'connections', name: 'connections' }],
    write: figure,
  },
];

const at = (id) => document.getElementById(id);

/** Kept in memory only: a page that is loaded again asks for it again. */
let token = '';
let timer;
let asked = 0;

function figure(value) {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${figure(value / 2 ** (10 * step))} ${units[step]}`;
}

function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

/** An element with text or children; text is never read as markup. */
function element(name, content, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...[content].flat());
  return made;
}

function svg(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function plot({ title, series, write }, samples) {
  const highest = Math.max(1e-9, ...series.flatMap(({ key }) => samples.map((sample) => sample[key])));
  const last = samples.at(-1);
  const told = series.map(({ key, name }) => `${name} ${last ? write(last[key]) : 'none yet'}`).join(', ');
  const picture = svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', role: 'img' });
  picture.setAttribute('aria-label', `${title}: now ${told}; highest ${write(highest)}`);
  series.forEach(({ key }, index) => {
    const points = samples.map((sample, place) => {
      const x = (100 * place) / Math.max(1, samples.length - 1);
      return `${x.toFixed(2)},${(98 - (96 * sample[key]) / highest).toFixed(2)}`;
    });
    picture.append(svg('polyline', { points: points.join(' '), class: index ? 'second' : 'first' }));
  });
  const caption = `${title}: ${told}; highest ${write(highest)}`;
  return element('figure', [element('figcaption', caption), picture]);
}

/** A time that may not be known yet. */
function milliseconds(value) {
  return value == null ? 'unknown' : `${figure(value)} ms`;
}

function now({ now, round_trips: roundTrips, uptime_s: uptime, ready, version }) {
  const facts = [
    ['Takes clients', ready === 'ready' ? 'yes' : `no: ${ready}`, ready !== 'ready'],
    ['Connections', figure(now.connections)],
    ['Users', figure(now.users)],
    ['Rooms subscribed', figure(now.rooms)],
    ['Subscriptions', figure(now.subscriptions)],
    ['Do not keep up', figure(now.lagging), now.lagging > 0],
    ['Round trip, half within', milliseconds(roundTrips.p50_ms)],
    ['Round trip, 95 of 100 within', milliseconds(roundTrips.p95_ms)],
    ['Up', duration(uptime)],
    ['Version', version],
  ];
  return facts.map(([name, value, warn]) =>
    element('div', [element('dt', name), element('dd', value, warn ? 'warn' : '')]),
  );
}

function clientRow(client) {
  const more = client.rooms_count - client.rooms.length;
  const button = element('button', 'Disconnect');
  button.type = 'button';
  button.dataset.id = client.id;
  button.setAttribute('aria-label', `Disconnect ${client.user}, connection ${client.id}`);
  return element('tr', [
    element('td', client.user),
    element('td', client.address ?? 'unknown'),
    element('td', client.rooms.join(', ') + (more > 0 ? ` and ${more} more` : '')),
    element('td', duration(client.connected_s), 'number'),
    element('td', milliseconds(client.round_trip_ms), 'number'),
    element('td', figure(client.requests), 'number'),
    element('td', figure(client.requests_queued), 'number'),
    element('td', `${figure(client.events_queued)} (${bytes(client.events_queued_bytes)})`, 'number'),
    element(
      'td',
      client.rooms_lagging ? `no: ${client.rooms_lagging} rooms behind` : 'yes',
      client.rooms_lagging ? 'warn' : '',
    ),
    element('td', button),
  ]);
}

function show(overview) {
  // Whoever is on a button with the keyboard stays on that client's.
  const focused = document.activeElement?.dataset?.id;
  at('now').replaceChildren(...now(overview));
  at('plots').replaceChildren(...PLOTS.map((each) => plot(each, overview.samples)));
  at('clients').replaceChildren(...overview.clients.map(clientRow));
  at('rooms').replaceChildren(
    ...overview.rooms.map(({ room, subscribers }) =>
      element('tr', [element('td', room), element('td', figure(subscribers), 'number')]),
    ),
  );
  if (focused) document.querySelector(`button[data-id="${CSS.escape(focused)}"]`)?.focus();
}

function ask(path, options) {
  return fetch(path, { ...options, headers: { authorization: `Bearer ${token}` } });
}

async function refresh() {
  clearTimeout(timer);
  const mine = (asked += 1);
  try {
    const answer = await ask(`/admin/api/overview?find=${encodeURIComponent(at('find').value)}`);
    if (answer.status === 401) return signOut('The token is wrong.');
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const overview = await answer.json();
    if (mine !== asked) return;
    at('sign-in').hidden = true;
    at('overview').hidden = false;
    say('');
    show(overview);
  } catch (error) {
    if (mine !== asked) return;
    say(`The server does not answer (${error.message}). Trying again.`);
  }
  timer = setTimeout(refresh, REFRESH_MS);
}

function signOut(reason) {
  token = '';
  at('overview').hidden = true;
  at('sign-in').hidden = false;
  at('token').focus();
  say(reason);
}

function say(text) {
  if (at('status').textContent !== text) at('status').textContent = text;
}

at('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  token = at('token').value;
  at('token').value = '';
  refresh();
});

at('find').addEventListener('input', refresh);

at('clients').addEventListener('click', async ({ target }) => {
  const { id } = target.dataset;
  if (!id) return;
  target.disabled = true;
  try {
    await ask(`/admin/api/clients/${id}/disconnect`, { method: 'POST' });
  } finally {
    refresh();
  }
});

at('token').focus();
