# The configurations of the virtual machines that run vaned, each as its name and what builds it.
{
  package,
}:
let
  lib = import ./stand-in.nix;
  inherit (lib) attrNames concatMap;

  # As much of another machine as the machines ask for.
  other.networking.primaryIPAddress = "192.0.2.1";
  other.networking.extraHosts = "";
  other.test-support.acme = {
    caDomain = "acme.test";
    caCert = "/ca.pem";
  };
  args = {
    inherit lib;
    config = other;
    nodes = lib.genAttrs [ "acme" ] (_: other);
    modulesPath = "";
    pkgs.openssl = null;
  };

  called = file: let it = import file; in it args;
  opened = module: if builtins.isFunction module then module args else module;

  ofTest =
    test: nodes:
    concatMap (
      name:
      let
        settings = (opened nodes.${name}).services.vaned or null;
      in
      if settings == null then
        [ ]
      else
        [
          {
            name = "${test}-${name}";
            value =
              (import ./system.nix {
                inherit package;
                modules = [ { services.vaned = settings; } ];
              }).config.services.vaned.finalConfigDir;
          }
        ]
    ) (attrNames nodes);
in
builtins.listToAttrs (
  concatMap (test: ofTest test (called (./vm + "/${test}.nix")).nodes) [
    "acme"
    "dual-stack"
    "reload"
  ]
)
