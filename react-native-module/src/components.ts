// Ready-made components of React Native primitives. An entry of its own: whoever needs none needs no React Native.
export { ConnectionBanner, type ConnectionBannerProps } from './components/connection-banner.tsx';
export { SyncDebugPanel, type SyncDebugPanelProps } from './components/sync-debug-panel.tsx';
export { SyncProgress, type SyncProgressProps } from './components/sync-progress.tsx';
