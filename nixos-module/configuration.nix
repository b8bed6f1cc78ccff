# The configuration as one directory of the store, checked while the system is built, and found by the
# daemon as /etc/vaned, so that another one does not change the unit.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vaned;
  json = pkgs.formats.json { };

  named =
    name: rule: if lib.isAttrs rule && !(rule ? name) then { inherit name; } // rule else rule;

  ruleFile =
    name: rule: "cp ${json.generate "${name}.json" (named name rule)} $out/rules/${name}.json\n";

  wasmFile = name: module: "cp ${module} $out/wasm/${name}.wasm\n";

  written = pkgs.runCommand "vaned-configuration" { preferLocalBuild = true; } ''
    mkdir -p $out/rules $out/wasm
    cp ${json.generate "config.json" cfg.settings} $out/config.json
    ${lib.concatStrings (lib.mapAttrsToList ruleFile cfg.rules)}
    ${lib.concatStrings (lib.mapAttrsToList wasmFile cfg.wasmModules)}
  '';

  # A directory that is changed by hand is nothing that a build can look at.
  isInStore =
    cfg.configDir == null
    || builtins.isPath cfg.configDir
    || lib.hasPrefix builtins.storeDir (toString cfg.configDir);

  directory =
    if cfg.configDir == null then
      written
    else if isInStore then
      "${cfg.configDir}"
    else
      cfg.configDir;

  canRun = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;

  variables = lib.mapAttrsToList (name: value: "${name}=${toString value}") cfg.environment;

  checked = pkgs.runCommand "vaned-configuration-checked" { preferLocalBuild = true; } ''
    env ${lib.escapeShellArgs variables} ${lib.getExe' cfg.package "vaned"} --check --allow-unset --config ${directory}
    ln -s ${directory} $out
  '';

  # A slash would lead elsewhere, and a file with a dot in front is hidden from the daemon.
  isFileName = name: builtins.match "[A-Za-z0-9_-][A-Za-z0-9_.-]*" name != null;

  taken = {
    VANE_CONFIG_DIR = "set `services.vaned.configDir` instead.";
    VANE_DRAIN_TIMEOUT_SECS = "set `services.vaned.drainTimeout` instead.";
    VANE_MGMT_UNIX = "management is at /run/vaned.sock, where its socket unit is.";
    VANE_STATE_DIR = "state is kept in /var/lib/vaned, the one place that the daemon may write to.";
  };
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion =
          cfg.configDir != null -> cfg.settings == { } && cfg.rules == { } && cfg.wasmModules == { };
        message = "services.vaned: `configDir` takes the place of `settings`, `rules` and `wasmModules`: set one or the other.";
      }
      {
        assertion = lib.all isFileName (lib.attrNames (cfg.rules // cfg.wasmModules));
        message = "services.vaned.rules and services.vaned.wasmModules: names become names of files: letters, digits, `_`, `-`, and `.` but in front.";
      }
    ]
    ++ lib.mapAttrsToList (variable: why: {
      assertion = !(cfg.environment ? ${variable});
      message = "services.vaned.environment.${variable}: ${why}";
    }) taken;

    services.vaned.finalConfigDir =
      if cfg.validateConfig && isInStore && canRun then checked else directory;

    environment.etc."vaned".source = cfg.finalConfigDir;
  };
}
