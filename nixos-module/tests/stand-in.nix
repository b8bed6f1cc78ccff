# Stands in for nixpkgs' `lib` where nixpkgs is not at hand: just the functions that the module and its
# tests call, written for these tests alone. It is enough to find a misspelt option, a wrong type and
# wrong logic; what real NixOS makes of the module is shown by the flake's checks.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    replaceStrings
    split
    storeDir
    stringLength
    substring
    ;

  shown = concatStringsSep ".";
  isProperty = value: isAttrs value && value ? _type && elem value._type properties;
  properties = [
    "if"
    "merge"
    "override"
  ];

  # --- From a value with mkIf, mkMerge and mkForce in it to plain ones with their priorities.

  discharge =
    value:
    if !(isProperty value) then
      [
        {
          inherit value;
          priority = 100;
        }
      ]
    else if value._type == "if" then
      if value.condition then discharge value.content else [ ]
    else if value._type == "merge" then
      concatMap discharge value.contents
    else
      map (found: found // { inherit (value) priority; }) (discharge value.content);

  # What stands at a name inside, with the properties around it still in place: conditions are not
  # asked, since they may depend on what is being put together.
  inside =
    name: value:
    if !(isProperty value) then
      if value ? ${name} then [ value.${name} ] else [ ]
    else if value._type == "merge" then
      concatMap (inside name) value.contents
    else
      map (content: value // { inherit content; }) (inside name value.content);

  namesIn =
    value:
    if !(isProperty value) then
      attrNames value
    else if value._type == "merge" then
      concatMap namesIn value.contents
    else
      namesIn value.content;

  best =
    found:
    let
      least = foldl' (least: this: if this.priority < least then this.priority else least) 10000 found;
    in
    map (this: this.value) (filter (this: this.priority == least) found);

  # --- Types: whether one value fits, and what several become.

  valueOf =
    path: type: definitions:
    let
      values = best (concatMap discharge definitions);
      wrong = filter (value: !(type.check value)) values;
    in
    if wrong != [ ] then
      throw "A definition for option `${shown path}' is not of type `${type.description}'."
    else
      type.merge path values;

  one =
    path: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${shown path}' has conflicting definition values.";

  simple = description: check: {
    inherit description check;
    merge = one;
  };

  listOf = type: {
    description = "list of ${type.description}";
    check = isList;
    merge =
      path: lists: concatMap (list: concatMap (item: kept path type [ item ]) list) lists;
  };

  attrsOf = type: {
    description = "attribute set of ${type.description}";
    check = value: isAttrs value && !(isDerivation value);
    merge =
      path: sets:
      let
        names = unique (concatMap attrNames sets);
        at = name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) sets;
        value = name: kept (path ++ [ name ]) type (at name);
      in
      listToAttrs (
        concatMap (name: map (value: { inherit name value; }) (value name)) names
      );
  };

  # None where every definition is switched off.
  kept =
    path: type: definitions:
    if concatMap discharge definitions == [ ] then [ ] else [ (valueOf path type definitions) ];

  either = first: second: {
    description = "${first.description} or ${second.description}";
    check = value: first.check value || second.check value;
    merge =
      path: values: (if all first.check values then first else second).merge path values;
  };

  isText = value: isString value || isPath value || isDerivation value;
  isDerivation = value: isAttrs value && value.type or null == "derivation";

  anything = {
    description = "anything";
    check = _: true;
    merge =
      path: values:
      if all types.attrs.check values then
        (attrsOf anything).merge path values
      else if all isList values then
        concatLists values
      else
        one path values;
  };

  types = {
    inherit
      anything
      attrsOf
      either
      listOf
      ;
    attrs = attrsOf anything;
    bool = simple "boolean" isBool;
    str = simple "string" isString;
    lines = simple "string" isString // {
      merge = _: concatStringsSep "\n";
    };
    float = simple "floating point number" isFloat;
    int = simple "integer" isInt;
    path = simple "path" (value: isText value && substring 0 1 "${toString value}" == "/");
    package = simple "package" (
      value: isDerivation value || (isString value && substring 0 (stringLength storeDir) value == storeDir)
    );
    nullOr = type: either (simple "null" (value: value == null)) type // {
      description = "null or ${type.description}";
    };
    ints.between =
      low: high:
      simple "integer between ${toString low} and ${toString high}" (
        value: isInt value && low <= value && value <= high
      );
    strMatching =
      pattern: simple "string matching ${pattern}" (value: isString value && match pattern value != null);
    submodule = module: {
      description = "submodule";
      check = isAttrs;
      merge =
        path: sets:
        (evalModules {
          inherit path;
          modules = [ module ] ++ map (set: { config = set; }) sets;
        }).config;
    };
  };

  # --- Modules: declarations and definitions are gathered, then every option is given its value.

  evalModules =
    {
      modules,
      specialArgs ? { },
      path ? [ ],
    }:
    let
      args = specialArgs // {
        inherit lib config;
        options = declared;
      };
      found = concatMap (gather args) modules;
      declared = foldl' (declare path) { } (map (module: module.options) found);
      config = fill path declared (map (module: module.config) found);
    in
    {
      inherit config;
      options = declared;
    };

  gather =
    args: module:
    let
      opened = if isPath module then import module else module;
      plain = if isFunction opened then opened args else opened;
      isStructured = plain ? options || plain ? config || plain ? imports;
    in
    concatMap (gather args) (plain.imports or [ ])
    ++ [
      {
        options = plain.options or { };
        config = if isStructured then plain.config or { } else plain;
      }
    ];

  isOption = value: value._type or null == "option";

  declare =
    path: first: second:
    first
    // mapAttrs (
      name: option:
      if !(first ? ${name}) then
        option
      else if isOption option || isOption first.${name} then
        throw "The option `${shown (path ++ [ name ])}' is declared twice."
      else
        declare (path ++ [ name ]) first.${name} option
    ) second;

  fill =
    path: options: definitions:
    let
      strange = filter (name: !(options ? ${name})) (concatMap namesIn definitions);
    in
    if strange != [ ] then
      throw "The option `${shown (path ++ [ (head strange) ])}' does not exist."
    else
      mapAttrs (
        name: option:
        (if isOption option then decide else fill) (path ++ [ name ]) option (
          concatMap (inside name) definitions
        )
      ) options;

  decide =
    path: option: definitions:
    let
      default = if option ? default then [ (lib.mkOverride 1500 option.default) ] else [ ];
      given = concatMap discharge (definitions ++ default);
    in
    if given == [ ] then
      throw "The option `${shown path}' was accessed but has no value defined."
    else if option.readOnly or false && length given > 1 then
      throw "The option `${shown path}' is read-only, but it's set multiple times."
    else
      valueOf path option.type (definitions ++ default);

  unique = foldl' (kept: item: if elem item kept then kept else kept ++ [ item ]) [ ];

  lib = {
    inherit
      all
      any
      attrNames
      attrValues
      concatMap
      concatStringsSep
      evalModules
      filter
      head
      isAttrs
      isBool
      isList
      isOption
      mapAttrs
      types
      unique
      ;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption =
      what:
      lib.mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    mkPackageOption =
      pkgs: name: _:
      lib.mkOption {
        type = types.package;
        default = pkgs.${name};
        defaultText = lib.literalExpression "pkgs.${name}";
        description = "The package with the programs.";
      };
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    mkIf = condition: content: {
      _type = "if";
      inherit condition content;
    };
    mkMerge = contents: {
      _type = "merge";
      inherit contents;
    };
    mkOverride = priority: content: {
      _type = "override";
      inherit priority content;
    };
    mkDefault = lib.mkOverride 1000;
    mkForce = lib.mkOverride 50;

    concatStrings = concatStringsSep "";
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
    optional = condition: item: if condition then [ item ] else [ ];
    last = list: elemAt list (length list - 1);
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    splitString = separator: text: filter isString (split separator text);
    toInt = text: builtins.fromJSON text;
    escapeShellArg = text: "'${replaceStrings [ "'" ] [ "'\\''" ] (toString text)}'";
    escapeShellArgs = texts: concatStringsSep " " (map lib.escapeShellArg texts);
    getExe' = package: program: "${package}/bin/${program}";
  };
in
lib
