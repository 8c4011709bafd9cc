//! The HTTP client for calls to WeChat and the operator's services. Requests reach only the host
//! named by the configuration. The TLS configuration is explicit, so neither a process-wide crypto
//! provider nor a CA bundle on disk is needed.

use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tracing::debug;

/// A client builder for the caller to complete.
///
/// With `ca` (PEM) only those certificates are trusted; without it the compiled-in roots and the
/// system's. The former make the gateway work in an image that holds nothing but its binary.
///
/// # Errors
/// The crypto provider supports none of the default TLS versions, which would be a bug.
pub fn builder(ca: Option<&str>) -> Result<ClientBuilder, rustls::Error> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls(ca)?)
        // URLs and bodies hold secrets, which must not follow a redirect, leave in a Referer, or
        // reach a proxy that only the environment names.
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        // Only the caller knows which requests are safe to repeat.
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
    // No HTTP/2: one stalled connection would stall every login.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
