//! Certificates, clocks, fakes and installers of real peers for tests.
