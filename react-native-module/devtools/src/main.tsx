import { getDevToolsPluginClientAsync } from 'expo/devtools';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { PLUGIN_NAME } from '../../src/devtools/protocol.ts';
import { Panel } from './panel.tsx';
import { Link } from './link.ts';
import './panel.css';

const box = document.getElementById('root');
if (!box) throw new Error('the page has no place for the panel');
const root = createRoot(box);

getDevToolsPluginClientAsync(PLUGIN_NAME).then(
  (channel) => {
    root.render(
      <StrictMode>
        <Panel link={new Link(channel)} />
      </StrictMode>,
    );
  },
  () => {
    root.render(
      <p className="notice">The dev server does not answer. Start it, then load this page again.</p>,
    );
  },
);
