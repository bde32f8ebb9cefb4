import { configure } from '@testing-library/react-native';

configure({ asyncUtilTimeout: 30_000 });

// Events come from the core whenever they come, which no test can wrap into `act`: React works as in an app.
beforeAll(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = false;
});
