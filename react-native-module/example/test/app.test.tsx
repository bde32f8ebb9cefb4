import { ExampleBackend, fetchForReal, type Phone, Phones } from './support.tsx';

let backend: ExampleBackend;
let phones: Phones;

beforeEach(async () => {
  globalThis.fetch = fetchForReal as typeof fetch;
  backend = await ExampleBackend.start();
  phones = new Phones();
});

afterEach(async () => {
  try {
    await phones.stop();
  } finally {
    await backend.stop();
  }
});

function phoneOf(name: string): Promise<Phone> {
  return phones.add(backend, name);
}

async function goOffline(phone: Phone) {
  await phone.open('Queue');
  await phone.press('Go offline');
}

async function goOnline(phone: Phone) {
  await phone.open('Queue');
  await phone.press('Go online');
}

/** A note that both have on their screens; bob is offline. */
async function planOfTwo(): Promise<{ ada: Phone; bob: Phone }> {
  const ada = await phoneOf('ada');
  const bob = await phoneOf('bob');
  await ada.open('Notes');
  await ada.write('Title', 'Plan');
  await ada.press('Add');
  await bob.open('Notes');
  await bob.sees('Open Plan');
  await goOffline(bob);
  return { ada, bob };
}

/** Writes the body of the note. */
async function editPlan(phone: Phone, body: string) {
  await phone.open('Notes');
  await phone.press('Open Plan');
  await phone.write('Body', body);
  await phone.press('Save');
}

it('shows what others post, and counts a like that was given offline once', async () => {
  const ada = await phoneOf('ada');
  const bob = await phoneOf('bob');
  await ada.write('What did you do?', 'ran');
  await ada.press('Post');
  await bob.sees('ada: ran');
  await bob.sees('0 likes');

  await goOffline(bob);
  await bob.open('Feed');
  await bob.press('Like ran');
  await bob.sees('0 likes, yours waits');
  await goOnline(bob);
  await ada.sees('1 likes');
  await bob.open('Feed');
  await bob.sees('1 likes');
});

it('shows the feed page by page', async () => {
  const ada = await phoneOf('ada');
  for (let which = 1; which <= 10; which += 1) {
    await ada.write('What did you do?', `walk ${which}`);
    await ada.press('Post');
    await ada.sees(`ada: walk ${which}`);
  }
  await ada.seesNot('ada: walk 2');
  await ada.press('Older');
  await ada.sees('ada: walk 1');
});

it('chats, shows who is there and who types', async () => {
  const ada = await phoneOf('ada');
  const bob = await phoneOf('bob');
  await ada.open('Chat');
  await bob.open('Chat');
  await ada.sees('Here: ada (active), bob (active)');

  await bob.write('Message', 'Hello');
  await ada.sees('bob is typing');
  await bob.press('Send');
  await ada.sees('bob: Hello');
  await ada.seesNot('bob is typing');
});

it('adds up what two phones of one user count, and sets what is absolute', async () => {
  const phone = await phoneOf('ada');
  const tablet = await phoneOf('ada');
  await goOffline(tablet);
  await tablet.open('Stats');
  await tablet.press('Win 10 XP');
  await tablet.sees('XP: 10');
  await phone.open('Stats');
  await phone.press('Win 10 XP');
  await phone.press('Refill hearts');
  await phone.sees('Hearts: 5');
  await phone.press('Lose a heart');
  await phone.sees('Hearts: 4');

  await goOnline(tablet);
  await tablet.open('Stats');
  await phone.sees('XP: 20');
  await tablet.sees('XP: 20');
  await tablet.sees('Hearts: 4');
});

it('lets whoever edited later decide', async () => {
  const { ada, bob } = await planOfTwo();
  await editPlan(ada, 'by train');
  await ada.sees('Saved');
  await editPlan(bob, 'by bike');
  await goOnline(bob);

  await bob.open('Conflicts');
  await bob.sees('Mine: by bike');
  await bob.sees('Theirs: by train');
  await bob.press('Keep both');
  await bob.sees('Nothing to decide');
  await ada.press('Back');
  await ada.sees('by train\nby bike');
});

it('asks what becomes of an edit of what somebody else deleted', async () => {
  const { ada, bob } = await planOfTwo();
  await ada.press('Delete Plan');
  await ada.seesNot('Open Plan');
  await editPlan(bob, 'too late');
  await bob.sees('Not sent yet');
  await goOnline(bob);
  await bob.open('Conflicts');
  await bob.sees('Theirs: (deleted)');
  await bob.press('Take theirs');
  await bob.open('Notes');
  await bob.seesNot('Open Plan');
});
