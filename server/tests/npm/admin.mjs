// Uses the admin page in Chromium as a person would, and prints what it saw as JSON.
//   node admin.mjs URL TOKEN USER [SCREENSHOT]
// USER is disconnected by hand.
import { chromium } from 'playwright-core';

const [url, token, user, screenshot] = process.argv.slice(2);
const executablePath = process.env.SYNCLINE_CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox'],
});
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on('console', (message) => {
    // What the wrong token is answered with is expected.
    if (message.type() === 'error' && !message.text().includes('401')) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  const answer = await page.goto(`${url}/admin`);

  const signIn = async (text) => {
    await page.getByLabel('Admin token').fill(text);
    await page.keyboard.press('Enter');
  };
  await signIn('wrong');
  await page.getByRole('status').getByText('The token is wrong.').waitFor();
  await signIn(token);
  const clients = page.getByRole('table', { name: 'Those that keep up worst' });
  await clients.getByRole('cell', { name: user, exact: true }).waitFor();
  // Two points make a line.
  await page.locator('polyline[points*=" "]').first().waitFor();
  const plots = await page
    .getByRole('img')
    .evaluateAll((all) => all.map((each) => each.getAttribute('aria-label')));
  const rooms = await page.getByRole('table', { name: 'most subscribers' }).locator('tbody').innerText();
  const facts = page.locator('#now');
  await facts
    .getByText(/^[0-9.,]+ ms$/)
    .nth(1)
    .waitFor();
  const roundTrips = await facts.locator('div', { hasText: 'Round trip' }).allInnerTexts();
  const answered = clients.locator('tr', { hasText: user }).getByRole('cell', { name: / ms$/ });
  const roundTrip = await answered.innerText();
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });

  await page.getByLabel('Find a user').fill(user);
  await page.getByRole('button', { name: `Disconnect ${user}` }).press('Enter');
  await clients.getByRole('cell', { name: user, exact: true }).waitFor({ state: 'detached' });

  // What an attacker who got markup into the page would try.
  const inline = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
    return window.ran === true;
  });
  const nameless = await page
    .locator('button, input')
    .evaluateAll(
      (all) => all.filter((each) => !each.labels?.length && !each.textContent && !each.ariaLabel).length,
    );
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes('inline script')));
  console.log(
    JSON.stringify({
      csp: answer.headers()['content-security-policy'],
      plots,
      rooms,
      roundTrips,
      roundTrip,
      inline,
      nameless,
      complaints,
    }),
  );
} finally {
  await browser.close();
}
