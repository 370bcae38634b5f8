//! The names that this machine knows, for the grammar, which does not know how they are looked up.

use std::net::IpAddr;

use ipvs_client::Protocol;

use crate::grammar::Names;
use crate::host::SystemNames;

impl Names for SystemNames {
    fn host(&self, name: &str) -> Option<Result<IpAddr, String>> {
        self.host(name)
    }

    fn look_up(&self) {
        self.look_up();
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.port(name, protocol)
    }
}
