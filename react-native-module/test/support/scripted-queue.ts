import type { Channel } from '../../src/channel.ts';
import type { Command, JobCommand } from '../../src/contract.ts';
import { EMPTY_QUEUE } from '../../src/idle.ts';
import { JobQueue } from '../../src/jobs.ts';
import { Store } from '../../src/observable.ts';

/** A core that answers what the test says, and notes what it was asked. */
export function scripted(answer: (command: JobCommand) => unknown) {
  const asked: JobCommand[] = [];
  const call = (command: Command): Promise<unknown> => {
    if (command.type !== 'jobs') throw new Error(command.type);
    asked.push(command.command);
    return Promise.resolve(answer(command.command));
  };
  const channel = { call } as unknown as Channel;
  const queue = new JobQueue(() => Promise.resolve(channel), new Store(EMPTY_QUEUE));
  const sent = (type: JobCommand['type']) => asked.filter((command) => command.type === type);
  return { queue, sent, channel };
}
