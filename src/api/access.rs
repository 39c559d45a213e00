//! Who asks, and what they may see: a type in each handler's signature, so that it cannot be forgotten.

use crate::config::Auth;
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;

/// What the asker may do. Made at the door alone ([`Access::of`]).
#[derive(Clone, Debug)]
pub struct Access {
    _made_at_the_door: (),
}

impl Access {
    /// Decides by the configured `auth`.
    ///
    /// # Errors
    /// 401 where a token is needed: with `auth = "smart"` nobody is let in without one, and tokens are not
    /// accepted yet.
    pub fn of(auth: Auth, _authorization: Option<&str>) -> Result<Self> {
        match auth {
            Auth::None => Ok(Self { _made_at_the_door: () }),
            Auth::Smart => Err(Error::new(IssueType::Login, "An access token is needed.")),
        }
    }

    /// # Errors
    /// 403 where the scopes do not cover reading `kind`.
    pub fn read(&self, kind: &str) -> Result<()> {
        let _ = kind;
        Ok(())
    }

    /// # Errors
    /// 403 where the scopes do not cover writing `kind`.
    pub fn write(&self, kind: &str) -> Result<()> {
        let _ = kind;
        Ok(())
    }
}
