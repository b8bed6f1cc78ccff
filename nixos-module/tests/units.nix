# The units of a system as files, in the form that NixOS gives them.
{
  module,
  package ? "/vane",
  nixpkgsLib ? null,
}:
let
  evaluated = import ./system.nix {
    modules = [ module ];
    inherit package nixpkgsLib;
  };
  inherit (evaluated) lib config;

  word = value: if lib.isBool value then (if value then "true" else "false") else toString value;
  line =
    name: value:
    if lib.isList value then
      lib.concatStrings (map (line name) value)
    else
      "${name}=${word value}\n";
  section = name: settings: "[${name}]\n" + lib.concatStrings (lib.mapAttrsToList line settings);

  unit = unit: {
    Description = unit.description;
    Documentation = unit.documentation;
    Requires = lib.concatStringsSep " " unit.requires;
    Wants = lib.concatStringsSep " " unit.wants;
    After = lib.concatStringsSep " " unit.after;
  };

  service =
    it:
    section "Unit" (unit it // { StartLimitIntervalSec = it.startLimitIntervalSec; })
    + section "Service" (
      it.serviceConfig
      // {
        Environment = lib.mapAttrsToList (name: value: "\"${name}=${value}\"") it.environment;
      }
    );

  socket =
    it:
    section "Unit" (unit it)
    + section "Socket" (it.socketConfig // { ListenStream = it.listenStreams; ListenDatagram = it.listenDatagrams; });

  named = suffix: text: lib.mapAttrsToList (name: it: { name = "${name}.${suffix}"; value = text it; });
in
builtins.listToAttrs (
  named "service" service config.systemd.services ++ named "socket" socket config.systemd.sockets
)
