/** Brings questions and answers together, and explanations to what differs. */
import { circumstances } from './circumstances.js';
import { type Difference, differences } from './differences.js';
import { type Disagreement, type Judgement, judge } from './judgement.js';
import type { Observation } from './plan.js';
import type { Question } from './questions.js';

export interface Explained {
	judgement: Judgement;
	/** Why, in the list's order; none where both sides agree, or where nothing is compared. */
	differences: readonly Difference[];
}

export interface Report {
	all: readonly Explained[];
	/** Sentences about differences that nobody wrote down, or more than once. */
	unexplained: readonly string[];
	/** Written-down differences that no longer exist. */
	stale: readonly string[];
}

export function report(asked: readonly { question: Question; observation: Observation }[]): Report {
	const unexplained: string[] = [];
	const used = new Set<Difference>();
	const all = asked.map(({ question, observation }): Explained => {
		const judgement = judge(question, observation);
		const found = judgement.disagreements.flatMap(place => {
			const explanations = explanationsOf(judgement, place);
			if (explanations.length !== 1) unexplained.push(complaint(judgement, place, explanations));
			return explanations;
		});
		for (const difference of found) used.add(difference);
		return { judgement, differences: differences.filter(difference => found.includes(difference)) };
	});
	return {
		all,
		unexplained,
		stale: differences.filter(difference => !used.has(difference)).map(({ why }) => why),
	};
}

function explanationsOf(judgement: Judgement, place: Disagreement): Difference[] {
	const where = circumstances(judgement);
	return differences.filter(difference => difference.explains(place, where));
}

function complaint(
	{ question, kernel, ours = [], verdict }: Judgement,
	{ place, by }: Disagreement,
	explanations: readonly Difference[],
): string {
	const { name, from } = question.one;
	const receivers = (departures: readonly { to: string }[]): string =>
		[...new Set(departures.map(({ to }) => to))].sort().join(' ') || 'nobody';
	const what =
		by === 'both'
			? `${place} gets other bytes`
			: by === 'hop'
				? `${place} gets ours a hop later`
				: `only ${by === 'ours' ? 'ours' : "the kernel's"} goes to ${place}`;
	const known = explanations.map(({ why }) => `\n    ${why}`).join('');
	return `${question.class}: ${name} (from ${from}): ${what}; kernel: ${receivers(kernel)}; ours: ${receivers(ours)} (${verdict}); explained ${explanations.length} times${known}`;
}
