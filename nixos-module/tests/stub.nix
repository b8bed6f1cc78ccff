# The options of NixOS that the module sets or reads, declared as NixOS does but for what it makes of
# them. Whatever else the module would set is an error.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  option =
    type: default:
    mkOption { inherit type default; };
  strings = option (types.listOf types.str) [ ];
  text = option types.str "";
  submodules = options: option (types.attrsOf (types.submodule { inherit options; })) { };

  unit = {
    description = text;
    documentation = strings;
    wantedBy = strings;
    requires = strings;
    wants = strings;
    after = strings;
  };
in
{
  options = {
    assertions = option (types.listOf types.anything) [ ];
    environment.etc = submodules { source = mkOption { type = types.path; }; };
    environment.systemPackages = option (types.listOf types.package) [ ];
    networking.firewall.allowedTCPPorts = option (types.listOf types.int) [ ];
    networking.firewall.allowedUDPPorts = option (types.listOf types.int) [ ];
    security.acme.acceptTerms = option types.bool false;
    security.acme.defaults.email = option (types.nullOr types.str) null;
    security.acme.certs = submodules {
      group = option types.str "acme";
      dnsProvider = option (types.nullOr types.str) null;
      environmentFile = option (types.nullOr types.path) null;
      reloadServices = strings;
    };
    systemd.services = submodules (
      unit
      // {
        environment = option (types.attrsOf types.str) { };
        serviceConfig = option (types.attrsOf types.anything) { };
        reloadTriggers = option (types.listOf types.anything) [ ];
        restartTriggers = option (types.listOf types.anything) [ ];
        stopIfChanged = option types.bool true;
        startLimitIntervalSec = option types.int 10;
      }
    );
    systemd.sockets = submodules (
      unit
      // {
        listenStreams = strings;
        listenDatagrams = strings;
        socketConfig = option (types.attrsOf types.anything) { };
      }
    );
    users.users = submodules {
      isSystemUser = option types.bool false;
      group = text;
      description = text;
      extraGroups = strings;
    };
    users.groups = submodules { };
  };

  # As NixOS does, so that examples are whole.
  config.assertions = [
    {
      assertion = config.security.acme.certs != { } -> config.security.acme.acceptTerms;
      message = "security.acme: the terms are not accepted";
    }
  ];
}
