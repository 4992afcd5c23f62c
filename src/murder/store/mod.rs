//! Where a list is kept.

pub mod durable;

use crate::failure::Failure;
use crate::formats::record::Form;
use crate::murder::node::List;
use crate::murder::node::Stored;

/// Keeps a list.
pub trait Store: Send {
    /// The list, from where it is kept.
    ///
    /// # Errors
    /// When it can't be read.
    fn load(&mut self) -> Result<List, Failure>;

    /// Makes changes durable, all or none.
    ///
    /// # Errors
    /// When they are not.
    fn commit(&mut self, changes: &[Stored<'_>]) -> Result<(), Failure>;

    /// Makes a whole list durable in the place of what is kept, all or nothing.
    ///
    /// # Errors
    /// When it is not durable.
    fn replace(&mut self, list: &List) -> Result<(), Failure>;

    /// Whether somebody else changed what is kept since the last load or commit.
    ///
    /// # Errors
    /// When it can't be told.
    fn is_stale(&mut self) -> Result<bool, Failure>;
}

/// Keeps a list nowhere but in the node's memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

impl Store for Memory {
    fn load(&mut self) -> Result<List, Failure> {
        Ok(List::new(Form::Db))
    }

    fn commit(&mut self, _: &[Stored<'_>]) -> Result<(), Failure> {
        Ok(())
    }

    fn replace(&mut self, _: &List) -> Result<(), Failure> {
        Ok(())
    }

    fn is_stale(&mut self) -> Result<bool, Failure> {
        Ok(false)
    }
}
