-- The sandbox: what scripts see as their globals. Runs once for each interpreter, before
-- any script; `host` holds the functions of the server.
local host = ...
local error, setmetatable, getmetatable, xpcall = error, setmetatable, getmetatable, xpcall
local base = host.base

local READONLY = 'Attempt to modify a readonly table'
-- From what scripts hold of a protected table to the table itself, and to the metatable that
-- they see of it.
local frozen, shown = base.frozen, base.shown

local function refuse()
    error(READONLY, 2)
end

local function freeze(content)
    local face = setmetatable({}, { __index = content, __newindex = refuse, __metatable = false })
    frozen[face] = content
    return face
end

local function complain(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local globals = {}
for _, name in ipairs {
    '_VERSION', 'assert', 'collectgarbage', 'error', 'gcinfo', 'ipairs', 'rawequal',
    'select', 'tonumber', 'tostring', 'type',
} do
    globals[name] = _G[name]
end
for _, name in ipairs {
    'getmetatable', 'load', 'loadstring', 'next', 'pairs', 'pcall', 'rawget', 'rawset',
    'setmetatable', 'unpack', 'xpcall',
} do
    globals[name] = base[name]
end
setmetatable(globals, { __index = complain })

-- Its metatable stays here: what libraries see changes when they have been loaded.
local sight = { __index = globals, __newindex = refuse, __metatable = false }
local env = setmetatable({}, sight)
frozen[env] = globals
globals._G = env
for _, name in ipairs { 'string', 'table', 'math', 'coroutine' } do
    local library = _G[name]
    for name in pairs(library) do
        library[name] = base[name] or library[name]
    end
    globals[name] = freeze(library)
end
globals.os = freeze { clock = os.clock }
for name, library in pairs(host.libraries) do
    globals[name] = freeze(library)
end
-- What Valkey calls it too.
globals.server = globals.redis
-- Every string has this metatable; nobody may change it for the others.
getmetatable('').__metatable = freeze { __index = globals.string }

shown[env] = freeze { __index = complain }
setfenv(0, env)

-- All that a library sees while it is loaded.
local loading = host.loading and freeze(setmetatable(host.loading, { __index = complain }))
local while_loading = setmetatable({ redis = loading, server = loading }, { __index = complain })

return {
    globals = globals,
    -- Calls the text of a library, which registers its functions.
    load = function(f)
        sight.__index = while_loading
        local ok, result = xpcall(f, host.describe)
        sight.__index = globals
        return ok, result
    end,
}
