"""The table of the task classifier: the weight of each word and each sign for task types and for complexity.

All of the classifier's judgement is here. Task types: the six that callers name (code_generation, code_refactor, reasoning,
analysis, completion, creative) and five of operations (investigate_error, fix_bug, analyze_logs, deploy_code, simple_query).
Words for quantities and conditions were chosen by the failures of two models on half of the MMLU questions, the others by
hand. `benchmarks/classifier.py` measures the result on the other half.
"""

from typing import Final

#: Task types, and the points of complexity that each adds to a task of 4 points.
TASK_TYPES: Final[dict[str, float]] = {
    "code_generation": 0.5,
    "code_refactor": 1.5,
    "reasoning": 1.0,
    "analysis": 1.0,
    "completion": -1.0,
    "creative": 0.0,
    "investigate_error": 2.0,
    "fix_bug": 1.5,
    "analyze_logs": 1.0,
    "deploy_code": 1.0,
    "simple_query": -1.5,
}

#: For each task type, words by weight. A word counts once, and double among the first words of the request.
TASK_WORDS: Final[dict[str, dict[float, str]]] = {
    "code_generation": {
        2.0: "implement program script regex sql",
        1.5: "function code api endpoint class python javascript typescript java rust golang html css bash algorithm",
        1.0: "write create generate build method unit tests query schema component library app boilerplate",
        0.5: "json yaml parse sort list array string add return loop database django react flask",
    },
    "code_refactor": {
        4.0: "refactor refactoring",
        2.5: "restructure rewrite modernize deduplicate decouple",
        2.0: "cleanup simplify migrate port readability legacy rename",
        1.0: "extract improve existing module modules performance optimize clean split duplication types",
    },
    "reasoning": {
        2.5: "prove proof theorem deduce infer derive",
        2.0: "puzzle logically solve calculate compute probability",
        1.5: "why equation integral derivative polynomial premise argument valid percentage percent suppose "
        "therefore maximum minimum",
        1.0: "find how determine sum number value given approximately assume if then conclude logic angle triangle ratio "
        "speed average deviation following statement true false most least likely which",
    },
    "analysis": {
        2.5: "analyze analyse analysis compare contrast evaluate assess",
        2.0: "pros cons summarize summarise trends implications strengths weaknesses tradeoffs review swot",
        1.5: "report data dataset correlation findings research insights impact risks advantages disadvantages explain",
        1.0: "market revenue quarter customers survey results figures study document identify describe between differences",
    },
    "completion": {
        3.0: "complete autocomplete continue",
        2.0: "finish fill blank continuation missing",
        1.0: "rest next sentence paragraph remaining snippet",
    },
    "creative": {
        3.0: "poem story haiku lyrics song limerick sonnet screenplay",
        2.5: "creative slogan tagline novel fiction joke brainstorm imagine",
        2.0: "marketing blog advertisement character dialogue campaign catchy rhyme names",
        1.0: "write message product tone style launch post tweet invent evoking funny playful",
    },
    "investigate_error": {
        2.5: "investigate traceback stacktrace rootcause diagnose postmortem",
        2.0: "exception crash crashes crashing outage incident segfault timeout timeouts oom",
        1.5: "error errors failing fails failure cause deadlock unresponsive leak 500 502 503 504",
        1.0: "why production since suddenly happening intermittent",
    },
    "fix_bug": {
        3.0: "fix bug bugfix debug",
        2.0: "broken wrong incorrect patch repair bugs",
        1.0: "expected instead should returns fails failing test off typeerror nullpointerexception undefined",
    },
    "analyze_logs": {
        3.0: "logs logfile syslog journalctl",
        2.0: "log access nginx anomalies entries",
        1.0: "lines spikes pattern patterns frequency warn info events",
    },
    "deploy_code": {
        3.0: "deploy deployment rollout rollback",
        2.0: "kubernetes helm dockerfile docker terraform ansible release ci cd pipeline",
        1.0: "production staging cluster canary container image server version environment",
    },
    "simple_query": {
        1.5: "hello hi hey thanks capital translate spell define convert",
        1.0: "what who when where weather name meaning synonym called status many does",
        0.5: "is are can yes no please format uppercase lowercase",
    },
}

#: For each task type, phrases by weight; they are looked for in the lower-case text.
TASK_PHRASES: Final[dict[str, dict[float, tuple[str, ...]]]] = {
    "code_generation": {
        2.0: ("write a function", "write code", "write a script", "def ", "from scratch"),
        1.0: ("in python", "in javascript"),
    },
    "code_refactor": {
        3.0: ("clean up", "without changing", "technical debt"),
        1.5: ("more readable", "existing code", "type hints"),
    },
    "reasoning": {
        3.0: ("step by step", "\na. ", "answer:"),
        2.0: ("how many", "prove that", "which of the following"),
        1.0: ("if all", "what is the value"),
    },
    "analysis": {
        3.0: ("pros and cons", "trade-offs", "compare "),
        1.5: ("key points", "in this document", "differences between"),
    },
    "completion": {
        3.0: ("complete the", "continue the", "fill in", "finish this", "finish the"),
        2.0: ("___", "once upon"),
    },
    "creative": {3.0: ("short story", "write a poem", "creative marketing"), 2.0: ("in the style of", "come up with")},
    "investigate_error": {
        4.0: ("traceback (most recent call last)", "root cause", "stack trace"),
        2.0: ("exception in thread", "caused by:", "\n    at ", "find out why"),
    },
    "fix_bug": {
        3.0: ("fix the", "fix this", "doesn't work", "does not work"),
        1.5: ("instead of", "off by one", "keyerror", "typeerror", "valueerror"),
    },
    "analyze_logs": {
        3.0: ("log file", "these logs", "the logs", "log lines", "access log"),
        1.0: (" error ", " warn "),
    },
    "deploy_code": {
        3.0: ("deploy to", "roll out", "roll back", "ci/cd"),
        1.5: ("to production", "to staging", "kubectl"),
    },
    "simple_query": {
        2.5: ("what is the capital", "what time", "how do you say", "who is", "who was", "what does"),
        1.5: ("what's", "what is "),
    },
}

#: Words by the points of complexity that they add, each once.
COMPLEXITY_WORDS: Final[dict[float, str]] = {
    1.6: "prove differential rigorously",
    1.2: "theorem distributed concurrency architecture cryptographic consensus topology lemma eigenvalue microservices",
    0.8: "derive rigorous asymptotic oom outage deadlocks scalable multithreaded deadlock optimization optimize compiler "
    "homomorphism isomorphic tradeoffs strategy strategic comprehensive integral diagnosis liability statute "
    "admissible migration refactor transactional proof semantics polynomial equilibrium regulatory threat trade-offs",
    0.5: "canary rollback exception intermittently "
    "percentage probability deviation equation sum suppose given value valid however approximately false neither maximum "
    "average volume initial velocity victim objection estimate design secure security performance constraints edge "
    "recover consider assume ensure integrate parallel analyze evaluate algorithm schema",
    0.25: "find then number two percent third choose divided units per total must should why determine compare because "
    "each every several",
    -0.4: "describes refers known term called associated example activities influence kind type types",
    -0.8: "hello hi hey thanks please simple short easy quick basic briefly list sort spell capital uppercase lowercase "
    "trivial beginner sentence",
}

#: Phrases by the points of complexity that they add, each once.
COMPLEXITY_PHRASES: Final[dict[float, tuple[str, ...]]] = {
    1.2: ("step by step", "from first principles", "pros and cons", "trade-offs", "end to end", "root cause"),
    0.6: ("at least", "at most", "as well as", "make sure", "edge cases", "such that", "and then", "\ni. ", "iii"),
    -1.0: ("hello world", "one sentence", "in one word", "yes or no", "what is the capital", "how do you say"),
}

#: Points of a short text for a simple query where half of its words or more are numbers, and two at least: arithmetic.
ARITHMETIC_POINTS: Final = 1.5
#: Points by the number of words: the first bound that is not exceeded counts.
LENGTH_POINTS: Final = ((6, -1.5), (15, -0.7), (60, 0.0), (200, 0.6), (800, 1.2), (3000, 2.0), (1 << 62, 2.8))

#: Points of signs: a block of code, each line of a list of demands, a share of digits and operators as in mathematics.
CODE_BLOCK_POINTS: Final = 0.5
DEMAND_POINTS: Final = 0.3
MATHEMATICS_POINTS: Final = 0.8
#: Words may add at most this, and take away at most that.
MAX_WORD_POINTS: Final = 3.5
MIN_WORD_POINTS: Final = -2.0
