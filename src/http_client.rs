//! The HTTP client for calls of our own, to WeChat and the operator's services: what goes out reaches the host that the
//! configuration names, or nobody. TLS has a configuration of ours, so that neither a process-wide provider nor a CA bundle on disk
//! is needed.

use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

/// A client to be completed with what is its caller's affair.
///
/// It trusts the certificates in `ca`, PEM, and no others; without it the roots compiled in and those of the system (a company's own,
/// say). The former are why the gateway also works in an image that holds nothing but its binary.
///
/// # Errors
/// The provider has none of the usual versions of TLS, which would be a bug of ours.
pub fn builder(ca: Option<&str>) -> Result<ClientBuilder, rustls::Error> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls(ca)?)
        // Secrets are in URLs and bodies: they follow no redirect, and go out neither as a Referer nor to a proxy that only the
        // environment names.
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        // What may be sent twice only the caller knows.
        .retry(reqwest::retry::never())
        .http1_only()
        .user_agent(concat!("skeygate/", env!("CARGO_PKG_VERSION")));
    Ok(builder)
}

fn tls(ca: Option<&str>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(ca.as_bytes()).flatten());
    } else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            debug!(%error, "some of the system's root certificates could not be read");
        }
        roots.add_parsable_certificates(system.certs);
    }

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // One call per connection at a time: a stalled HTTP/2 connection would stall every login at once.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
