//! Mailbox entries, whatever container holds them; knows no container.
