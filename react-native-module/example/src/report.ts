import { useCallback, useState } from 'react';

interface Report {
  /** What went wrong last, until something succeeds. */
  readonly problem: string | null;
  /** Does something that may fail. */
  readonly run: (work: () => Promise<unknown>) => void;
}

export function useReport(): Report {
  const [problem, setProblem] = useState<string | null>(null);
  const run = useCallback((work: () => Promise<unknown>) => {
    work().then(
      () => {
        setProblem(null);
      },
      (error: unknown) => {
        setProblem(error instanceof Error ? error.message : String(error));
      },
    );
  }, []);
  return { problem, run };
}
