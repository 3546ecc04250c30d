/** Numbers in [0, 1), the same every time. */
export function randomNumbers(seed = 1) {
  return () => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
}

/**
 * Events of agents that follow each other in a circle, or else at random; a run ends after 40 calls. Anchors and parts of
 * histories keep their identity, as they do in an app.
 *
 * @param {object} options
 * @param {number} [options.agents] default 24
 * @param {number} [options.openRuns] default 1,000
 * @param {number} [options.follow] probability that the circle is followed; default 0.7
 * @param {boolean} [options.isWhole] with answers, tools and histories that grow and are cut; default: requests alone
 * @returns {() => object} the next event
 */
export function events({ agents = 24, openRuns = 1000, follow = 0.7, isWhole = false } = {}) {
  const random = randomNumbers();
  const names = Array.from({ length: agents }, (_, i) => `agent-${i}`);
  const anchors = names.map((hash) => ({ hash, length: 4000 }));
  const task = [{ hash: "task", length: 400 }];
  const runs = Array.from({ length: openRuns }, (_, i) => ({
    id: `run-${i}`,
    agent: 0,
    calls: Math.floor(random() * 40),
    request: undefined,
    history: task,
  }));
  let count = 0;
  return () => {
    const run = runs[Math.floor(random() * openRuns)];
    count++;
    if (run.request !== undefined) return answer(run);
    if (run.calls++ >= 40) return end(run);
    run.agent = random() < follow ? (run.agent + 1) % agents : Math.floor(random() * agents);
    if (isWhole) {
      const kept = random() < 0.3 ? Math.floor(random() * run.history.length) : run.history.length;
      run.history = [
        ...run.history.slice(0, kept),
        { hash: `m${count}`, length: Math.floor(random() * 4000) },
      ];
      run.request = `r${count}`;
    }
    const agent = names[run.agent];
    return {
      type: "request-start",
      at: count,
      run: run.id,
      agent,
      namespace: agent,
      step: run.calls,
      request: `r${count}`,
      prompt: { anchor: anchors[run.agent], history: run.history },
    };
  };

  function answer(run) {
    const agent = names[run.agent];
    const { request } = run;
    run.request = undefined;
    return {
      type: "request-end",
      at: count,
      run: run.id,
      agent,
      namespace: agent,
      request,
      status: "completed",
      usage: { promptTokens: 1100, outputTokens: 100 },
      callsTools: random() < 0.5,
    };
  }

  function end(run) {
    const ended = { type: "run-end", at: count, run: run.id, status: "completed" };
    run.calls = 0;
    run.history = task;
    run.id = `run-${openRuns + count}`;
    return ended;
  }
}
