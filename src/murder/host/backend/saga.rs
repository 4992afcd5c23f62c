//! What a request takes, step by step, and how it is taken back: RESERVE, the change of one's own list, ACTIVATE.

use std::collections::VecDeque;

use super::locals::Mailbox;
use crate::murder::host::request::{Answer, Request};
use crate::murder::host::{ConnId, Keep};
use crate::murder::wire::command::Change;

/// What a name is to be from now on.
pub type Local = (Vec<u8>, Option<Mailbox>);

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Tell the master.
    Tell(Change),
    /// Change one's own list, and keep more with it.
    Keep(Vec<Local>, Vec<Keep>),
}

/// One thing to do, and what it means if that fails.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is to be done.
    pub action: Action,
    /// What takes it back.
    pub undo: Option<Action>,
    /// What the client is told if it fails, and all before it is taken back: without a master, and if that refuses. `None` if
    /// it does not matter.
    pub must: Option<(String, String)>,
}

impl Step {
    /// A step that may fail.
    pub fn may(action: Action) -> Step {
        Step { action, undo: None, must: None }
    }
}

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// A client.
    Conn(ConnId),
    /// The host's own administrator.
    Order(u64),
}

/// A request on its way.
#[derive(Debug)]
pub struct Saga {
    /// Who asked.
    pub asker: Asker,
    /// The names that nobody else may change meanwhile.
    pub names: Vec<Vec<u8>>,
    /// What is still to be done.
    pub steps: VecDeque<Step>,
    /// What takes back what was done, the last first.
    pub undo: Vec<Action>,
    /// What the client will be told.
    pub answer: Answer,
    /// Whether what was done is being taken back.
    undoing: bool,
}

impl Saga {
    /// A request that takes these steps.
    pub fn new(asker: Asker, request: &Request, steps: Vec<Step>) -> Saga {
        let mut names: Vec<Vec<u8>> = request.name().map(<[u8]>::to_vec).into_iter().collect();
        for step in &steps {
            match &step.action {
                Action::Tell(change) => names.push(change.name().to_vec()),
                Action::Keep(locals, _) => names.extend(locals.iter().map(|(name, _)| name.clone())),
            }
        }
        names.sort_unstable();
        names.dedup();
        Saga { asker, names, steps: steps.into(), undo: Vec::new(), answer: Answer::ok(), undoing: false }
    }

    /// The step that it is at is done.
    pub fn done(&mut self) {
        self.undo.extend(self.steps.pop_front().and_then(|step| step.undo));
    }

    /// The step that it is at failed: for want of a master or, with its words, because it refused.
    pub fn failed(&mut self, refused: bool) {
        let Some(step) = self.steps.pop_front() else { return };
        if self.undoing && matches!(step.action, Action::Keep(..)) {
            // One's own list has the name still: nobody else may have it, so the master is left to keep it.
            self.steps.clear();
        }
        let Some((lost, no)) = step.must else { return };
        self.undoing = true;
        self.answer = Answer::no(if refused { no } else { lost });
        self.steps = self.undo.drain(..).rev().map(Step::may).collect();
    }
}
