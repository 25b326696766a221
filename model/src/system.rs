//! All processes at once, and what can happen to them.

use stateright::{Model, Property};

use crate::catalog;
use crate::lake::{FOLDERS, Files, Folder, Folders, Lake, Record};
use crate::operator;
use crate::properties;
use crate::protocol::{Broken, Protocol};
use crate::run::{self, Answer, Execution, Invocation, Next, Step};
use crate::scenario::Scenario;
use crate::vacuum;

/// What is checked: a protocol in a scenario.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// The scenario.
    pub scenario: Scenario,
    /// The protocol.
    pub protocol: Protocol,
}

/// A state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What is shared.
    pub lake: Lake,
    /// The executions.
    pub runs: Vec<Execution>,
    /// Invocations that nobody waits for.
    pub zombies: Vec<Invocation>,
    /// The vacuum that is at work.
    pub vacuum: Option<vacuum::Vacuum>,
    /// The command of an operator that is at work.
    pub operator: Option<operator::Step>,
    /// Whether an execution failed or a command died, so that the catalog may be behind until the next update.
    pub something_failed: bool,
    /// What can still happen.
    left: Left,
}

/// How often something can still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Left {
    /// Of the following five together.
    faults: u8,
    zombies: u8,
    lost: u8,
    aborts: u8,
    other_days: u8,
    expiries: u8,
    vacuums: u8,
    rollbacks: u8,
    releases: u8,
}

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The invocation that the execution of this run waits for.
    Run(u8),
    /// An invocation that nobody waits for.
    Zombie(u8),
    /// The vacuum.
    Vacuum,
    /// The operator's command.
    Operator,
}

/// What happens. What a step does, and which function does it, is with [`run::Step`], [`catalog::Step`], [`vacuum::Step`] and
/// [`operator::Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The raw files go to their next state.
    RawFilesChange,
    /// The next run is started.
    RunStarts(u8),
    /// A vacuum is started.
    VacuumStarts,
    /// An operator starts to go back to the record of this number.
    RollbackStarts(u8),
    /// An operator starts to release the day.
    ReleaseStarts,
    /// Somebody takes his next step.
    Step(Actor),
    /// Somebody's PUT is executed and its answer is lost.
    AnswerIsLost(Actor),
    /// An invocation does not answer: `Retry` starts another, and this one goes on.
    IsInvokedAgain(u8),
    /// A process dies, and nobody starts it again.
    Dies(Actor),
    /// An execution is aborted, while its invocation goes on.
    IsAborted(u8),
    /// Another day of the run found that its record changed: its days are audited again.
    OtherDayChanged(u8),
    /// The lease of a table ends before it is released.
    LeaseExpires(u8),
    /// The retention of what was replaced ends.
    RetentionEnds,
}

impl State {
    /// Whether everything has ended.
    pub fn is_at_rest(&self) -> bool {
        self.runs.iter().all(|run| run.is_over())
            && self.zombies.is_empty()
            && self.vacuum.is_none()
            && self.operator.is_none()
    }

    /// All invocations, whether somebody waits for them or not.
    pub fn invocations(&self) -> impl Iterator<Item = &Invocation> {
        let running = self.runs.iter().filter_map(|run| match run {
            Execution::Running(invocation) => Some(invocation),
            _ => None,
        });
        running.chain(&self.zombies)
    }

    /// The updates of the catalog that are going on.
    fn updates(&self) -> impl Iterator<Item = catalog::Step> {
        let runs = self.invocations().filter_map(|invocation| match invocation.step {
            Step::Catalog(step) => Some(step),
            _ => None,
        });
        let operator = self.operator.and_then(|step| match step {
            operator::Step::Catalog(step) => Some(step),
            _ => None,
        });
        runs.chain(operator)
    }

    /// Whether the holder of a table's lease lives.
    fn is_held(&self, table: u8) -> bool {
        self.updates().any(|step| step.holds(table))
    }

    /// Takes the lease of a table from its holder, who does not know.
    fn expire(&mut self, table: u8) {
        let running = self.runs.iter_mut().filter_map(|run| match run {
            Execution::Running(invocation) => Some(invocation),
            _ => None,
        });
        for invocation in running.chain(&mut self.zombies) {
            if let Step::Catalog(step) = &mut invocation.step {
                step.expire(table);
            }
        }
        if let Some(operator::Step::Catalog(step)) = &mut self.operator {
            step.expire(table);
        }
        self.lake.leases[usize::from(table)] = false;
    }
}

impl Left {
    /// Notes that a fault happened. When no more may happen, it makes no difference which ones did.
    fn note(&mut self, fault: impl Fn(&mut Left) -> &mut u8) {
        *fault(self) -= 1;
        self.faults -= 1;
        *self = self.reduced();
    }

    /// The same without kinds of faults that cannot happen any more.
    fn reduced(self) -> Self {
        let Left { faults, vacuums, rollbacks, releases, .. } = self;
        if faults == 0 { Left { vacuums, rollbacks, releases, ..Left::default() } } else { self }
    }
}

impl System {
    /// Whether an invocation, or what may follow it, reads plan and audit of its attempt.
    fn reads_plan(&self, state: &State, invocation: &Invocation) -> bool {
        match invocation.step {
            Step::Catalog(_) => state.left.other_days > 0,
            _ => true,
        }
    }

    /// Leaves out what makes no difference any more, so that fewer states are different.
    fn forget(&self, state: &mut State) {
        let mut needed = [false; FOLDERS];
        let mut folders = Folders::default();
        for invocation in state.invocations().filter(|one| self.reads_plan(state, one)) {
            needed[invocation.place()] = true;
            folders.insert(Folder::of(invocation.run, invocation.attempt, self.protocol));
        }
        for place in (0..FOLDERS).filter(|place| !needed[*place]) {
            state.lake.plans[place] = None;
            state.lake.audits[place] = None;
        }
        for (folder, files) in state.lake.files.iter_mut().enumerate() {
            // Which record the files were compared with counts when they are published for the first time.
            if let Files::Written { audited, .. } = files
                && !folders.contains(Folder(folder as u8))
            {
                *audited = u16::from(*audited != 0);
            }
        }
        // Which of them is the first makes no difference.
        state.zombies.sort_unstable();
    }

    fn step_of_run(&self, state: &mut State, run: u8, answered: bool) {
        let Execution::Running(invocation) = state.runs[usize::from(run)] else { return };
        let next = invocation.step(&mut state.lake, &self.scenario, self.protocol, false, answered);
        let execution = match next {
            Next::Step(step) => Execution::Running(Invocation { step, ..invocation }),
            Next::Answer(answer) => run::after(invocation, answer, &self.scenario, self.protocol),
        };
        state.something_failed |= execution == Execution::Failed;
        state.runs[usize::from(run)] = execution;
    }

    fn step_of_zombie(&self, state: &mut State, zombie: u8, answered: bool) {
        let invocation = state.zombies.remove(usize::from(zombie));
        match invocation.step(&mut state.lake, &self.scenario, self.protocol, true, answered) {
            Next::Step(step) => state.zombies.push(Invocation { step, ..invocation }),
            Next::Answer(Answer::LeaseLost { .. } | _) => {}
        }
    }

    fn step_of_operator(&self, state: &mut State, answered: bool) {
        let Some(step) = state.operator else { return };
        let next = step.step(&mut state.lake, self.scenario.tables, self.protocol, answered);
        state.something_failed |= next == operator::Next::Failed;
        state.operator = match next {
            operator::Next::Step(next) => Some(next),
            operator::Next::Done | operator::Next::Refused | operator::Next::Failed => None,
        };
    }

    fn step(&self, state: &mut State, actor: Actor, answered: bool) {
        match actor {
            Actor::Run(run) => self.step_of_run(state, run, answered),
            Actor::Zombie(zombie) => self.step_of_zombie(state, zombie, answered),
            Actor::Operator => self.step_of_operator(state, answered),
            Actor::Vacuum => {
                let Some(vacuum) = state.vacuum else { return };
                state.vacuum = vacuum.step(&mut state.lake, &state.runs, self.protocol, answered);
            }
        }
    }

    /// Whether an invocation can go on, or waits for a lease.
    fn is_ready(&self, state: &State, step: Step) -> bool {
        match step {
            Step::Catalog(step) => step.is_ready(&state.lake, self.protocol),
            _ => true,
        }
    }

    /// Whether the retention of what was replaced can end. It is longer than any update of the catalog takes.
    fn can_age(&self, state: &State) -> bool {
        let number = Record::number(state.lake.record);
        let in_time = state.updates().filter_map(catalog::Step::carries).all(|carried| carried == number);
        state.lake.aged + 1 < number && (in_time || self.protocol.is(Broken::RetentionTooShort))
    }

    fn actions_of_run(&self, state: &State, run: u8, actions: &mut Vec<Action>) {
        let Execution::Running(invocation) = state.runs[usize::from(run)] else { return };
        let left = &state.left;
        if self.is_ready(state, invocation.step) {
            actions.push(Action::Step(Actor::Run(run)));
        }
        if left.lost > 0 && invocation.can_lose_answer() {
            actions.push(Action::AnswerIsLost(Actor::Run(run)));
        }
        if left.zombies > 0 {
            actions.push(Action::IsInvokedAgain(run));
        }
        if left.aborts > 0 {
            actions.push(Action::IsAborted(run));
        }
        if left.other_days > 0 && invocation.step == Step::Catalog(catalog::Step::first(0, self.protocol)) {
            actions.push(Action::OtherDayChanged(run));
        }
    }

    fn actions_of_commands(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        match state.vacuum {
            Some(vacuum::Vacuum { step, .. }) => {
                actions.push(Action::Step(Actor::Vacuum));
                // Before it has written anything, its death is as if it had not been started.
                if step.has_written() {
                    actions.push(Action::Dies(Actor::Vacuum));
                }
                if left.lost > 0 && step.can_lose_answer() {
                    actions.push(Action::AnswerIsLost(Actor::Vacuum));
                }
            }
            None if left.vacuums > 0 => actions.push(Action::VacuumStarts),
            None => {}
        }
        match (state.operator, state.lake.record) {
            (Some(step), _) => {
                let waits = matches!(step, operator::Step::Catalog(step) if !step.is_ready(&state.lake, self.protocol));
                if !waits {
                    actions.push(Action::Step(Actor::Operator));
                }
                if step.has_written() {
                    actions.push(Action::Dies(Actor::Operator));
                }
                if left.lost > 0 && step.can_lose_answer() {
                    actions.push(Action::AnswerIsLost(Actor::Operator));
                }
            }
            (None, Some(record)) => {
                // The one before is what a rollback goes back to when nothing else is chosen.
                let oldest = if self.protocol.is(Broken::RollbackChoosesAgain) { record.number - 1 } else { 1 };
                let targets = (oldest.max(1)..record.number)
                    .filter(|number| left.rollbacks > 0 && Record::published(state.lake.earlier(*number)).is_some());
                actions.extend(targets.map(Action::RollbackStarts));
                if record.held && left.releases > 0 {
                    actions.push(Action::ReleaseStarts);
                }
            }
            (None, None) => {}
        }
    }
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let scenario = &self.scenario;
        vec![State {
            lake: Lake::new(),
            runs: vec![Execution::Waiting; usize::from(scenario.runs)],
            zombies: Vec::new(),
            vacuum: None,
            operator: None,
            something_failed: false,
            left: Left {
                faults: scenario.faults,
                zombies: scenario.zombies,
                lost: scenario.lost,
                aborts: scenario.aborts,
                other_days: scenario.other_days,
                expiries: scenario.expiries,
                vacuums: scenario.vacuums,
                rollbacks: scenario.rollbacks,
                releases: scenario.releases,
            }
            .reduced(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if usize::from(state.lake.raw) + 1 < self.scenario.raw.len() {
            actions.push(Action::RawFilesChange);
        }
        // Runs that have not started are alike: the first of them starts.
        let running = state.runs.iter().filter(|run| run.is_running()).count();
        if running < usize::from(self.scenario.at_once)
            && let Some(run) = state.runs.iter().position(|run| *run == Execution::Waiting)
        {
            actions.push(Action::RunStarts(run as u8));
        }
        for run in 0..self.scenario.runs {
            self.actions_of_run(state, run, actions);
        }
        for (index, zombie) in state.zombies.iter().enumerate() {
            let actor = Actor::Zombie(index as u8);
            if self.is_ready(state, zombie.step) {
                actions.push(Action::Step(actor));
            }
            if state.left.lost > 0 && zombie.can_lose_answer() {
                actions.push(Action::AnswerIsLost(actor));
            }
            actions.push(Action::Dies(actor));
        }
        self.actions_of_commands(state, actions);
        for table in 0..self.scenario.tables {
            // A holder that is gone keeps others waiting until its lease expires.
            let expires = !self.protocol.is(Broken::LeaseNeverExpires);
            if expires && state.lake.leases[usize::from(table)] && (state.left.expiries > 0 || !state.is_held(table)) {
                actions.push(Action::LeaseExpires(table));
            }
        }
        if self.scenario.vacuums > 0 && (state.left.vacuums > 0 || state.vacuum.is_some()) && self.can_age(state) {
            actions.push(Action::RetentionEnds);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::RawFilesChange => state.lake.raw += 1,
            Action::RunStarts(run) => {
                state.runs[usize::from(run)] = Execution::Running(Invocation::of_attempt(run, 0));
            }
            Action::VacuumStarts => {
                state.left.vacuums -= 1;
                state.vacuum = Some(vacuum::Vacuum::start(&state.lake, self.protocol));
            }
            Action::RollbackStarts(to) => {
                state.left.rollbacks -= 1;
                state.operator = Some(operator::Step::RollbackReadsRecord { to });
            }
            Action::ReleaseStarts => {
                state.left.releases -= 1;
                state.operator = Some(operator::Step::ReleaseReadsRecord);
            }
            Action::Step(actor) => self.step(&mut state, actor, true),
            Action::AnswerIsLost(actor) => {
                state.left.note(|left| &mut left.lost);
                self.step(&mut state, actor, false);
            }
            Action::IsInvokedAgain(run) => {
                let Execution::Running(invocation) = state.runs[usize::from(run)] else { return None };
                state.left.note(|left| &mut left.zombies);
                state.zombies.push(invocation);
                state.runs[usize::from(run)] = Execution::Running(invocation.again(self.protocol));
                if let Step::Catalog(catalog::Step::Writes { table, leased: true, .. }) = invocation.step
                    && self.protocol.is(Broken::ReleasedWithoutAnswer)
                {
                    state.lake.leases[usize::from(table)] = false;
                }
            }
            Action::Dies(Actor::Zombie(zombie)) => drop(state.zombies.remove(usize::from(zombie))),
            Action::Dies(Actor::Vacuum) => state.vacuum = None,
            Action::Dies(Actor::Operator) => {
                state.operator = None;
                state.something_failed = true;
            }
            Action::Dies(Actor::Run(_)) => return None,
            Action::IsAborted(run) => {
                let Execution::Running(invocation) = state.runs[usize::from(run)] else { return None };
                state.left.note(|left| &mut left.aborts);
                state.zombies.push(invocation);
                state.runs[usize::from(run)] = Execution::Failed;
                state.something_failed = true;
            }
            Action::OtherDayChanged(run) => {
                let Execution::Running(invocation) = state.runs[usize::from(run)] else { return None };
                state.left.note(|left| &mut left.other_days);
                state.runs[usize::from(run)] = run::audited_again(invocation, self.protocol);
            }
            Action::LeaseExpires(table) => {
                if state.is_held(table) {
                    state.left.note(|left| &mut left.expiries);
                }
                state.expire(table);
            }
            Action::RetentionEnds => state.lake.aged = Record::number(state.lake.record) - 1,
        }
        self.forget(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }

    fn format_action(&self, action: &Action) -> String {
        format!("{action:?}")
    }
}

impl System {
    /// What somebody does next, in words.
    pub fn describe(&self, state: &State, actor: Actor) -> String {
        let name = |invocation: &Invocation| format!("{} attempt {}", invocation.run + 1, invocation.attempt + 1);
        match actor {
            Actor::Run(run) => match &state.runs[usize::from(run)] {
                Execution::Running(invocation) => format!("run {}: {:?}", name(invocation), invocation.step),
                other => format!("run {}: {other:?}", run + 1),
            },
            Actor::Zombie(zombie) => {
                let invocation = &state.zombies[usize::from(zombie)];
                format!("zombie of run {}: {:?}", name(invocation), invocation.step)
            }
            Actor::Vacuum => format!("vacuum: {:?}", state.vacuum.expect("a vacuum that takes a step").step),
            Actor::Operator => format!("operator: {:?}", state.operator.expect("a command that takes a step")),
        }
    }

    /// Whether files were removed, which some scenario has to reach.
    pub fn has_removed(state: &State) -> bool {
        state.lake.files.contains(&Files::Removed)
    }
}
