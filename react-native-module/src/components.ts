// Ready-made components of React Native primitives. An entry of its own: whoever needs none needs no React Native.
export { SyncDebugPanel, type SyncDebugPanelProps } from './components/sync-debug-panel.tsx';
export { SyncStatus, type SyncStatusProps } from './components/sync-status.tsx';
