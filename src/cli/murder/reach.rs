//! Which server to connect to, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use coroner::failure::Failure;
use coroner::murder::net::client::Target;
use coroner::murder::net::tls;

/// How to log in to a server.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Reach {
    /// Log in as this user
    #[arg(long, value_name = "USER", requires = "password_file", global = true)]
    user: Option<String>,
    /// The file whose first line is that user's password
    #[arg(long, value_name = "FILE", requires = "user", global = true)]
    password_file: Option<PathBuf>,
    /// Use TLS, and trust the authorities in this PEM file
    #[arg(long, value_name = "FILE", global = true)]
    tls_ca: Option<PathBuf>,
    /// Show this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_ca", requires = "client_key", global = true)]
    client_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert", global = true)]
    client_key: Option<PathBuf>,
    /// Compress, where the server can
    #[arg(long, global = true)]
    compress: bool,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = super::super::args::seconds, global = true)]
    timeout: Duration,
}

impl Reach {
    /// The server at `address`.
    pub fn target(&self, address: &str) -> Result<Target, Failure> {
        let login = match (&self.user, &self.password_file) {
            (Some(user), Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::file(path, error, "name a file with the password"))?;
                Some((user.clone(), text.lines().next().unwrap_or_default().to_owned()))
            }
            _ => None,
        };
        let own = self.client_cert.as_deref().zip(self.client_key.as_deref());
        let tls = self.tls_ca.as_deref().map(|ca| tls::connector(ca, own)).transpose()?;
        Ok(Target { address: address.to_owned(), login, tls, compress: self.compress, patience: self.timeout })
    }
}
