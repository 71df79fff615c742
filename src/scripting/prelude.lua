-- The sandbox: what scripts see as their globals. Runs once for each interpreter, before
-- any script; `host` holds the functions of the server.
local host = ...
local error, setmetatable, getmetatable, rawset, type = error, setmetatable, getmetatable, rawset, type
local pairs, next, pcall, xpcall, ipairs = pairs, next, pcall, xpcall, ipairs
local loadstring, load = loadstring, load

local READONLY = 'Attempt to modify a readonly table'
-- From what scripts hold of a protected table to the table itself.
local frozen = setmetatable({}, { __mode = 'k' })

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
    'select', 'tonumber', 'tostring', 'type', 'unpack',
} do
    globals[name] = _G[name]
end
setmetatable(globals, { __index = complain })

-- Its metatable stays here: what libraries see changes when they have been loaded.
local sight = { __index = globals, __newindex = refuse, __metatable = false }
local env = setmetatable({}, sight)
frozen[env] = globals
globals._G = env
for _, name in ipairs { 'string', 'table', 'math', 'coroutine' } do
    local library = _G[name]
    if name == 'coroutine' then
        local resume = library.resume
        library.resume = function(...)
            return host.outcome(resume(...))
        end
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

globals.getmetatable = getmetatable
globals.setmetatable = function(t, meta)
    if frozen[t] then
        error(READONLY, 0)
    end
    return setmetatable(t, meta)
end
globals.rawset = function(t, key, value)
    if frozen[t] then
        error(READONLY, 0)
    end
    return rawset(t, key, value)
end
globals.rawget = function(t, key)
    return rawget(frozen[t] or t, key)
end
globals.next = function(t, key)
    return next(t ~= nil and frozen[t] or t, key)
end
globals.pairs = function(t)
    local content = t ~= nil and frozen[t]
    if content == globals then
        -- Without the function that refuses what is not there.
        return next, globals, nil
    end
    return pairs(content or t)
end
globals.pcall = function(f, ...)
    return host.outcome(pcall(f, ...))
end
globals.xpcall = function(f, handler)
    return host.uncaught(xpcall(f, function(value)
        return handler(host.as_table(value))
    end))
end
-- Compiled code can break the interpreter; only text is taken.
local function is_text(chunk)
    return type(chunk) ~= 'string' or chunk:byte(1) ~= 27
end
globals.loadstring = function(chunk, name)
    if not is_text(chunk) then
        return nil, 'bytecode is not allowed'
    end
    return loadstring(chunk, name)
end
globals.load = function(pieces, name)
    if type(pieces) ~= 'function' then
        error("bad argument #1 to 'load' (function expected, got " .. type(pieces) .. ')', 2)
    end
    local first = true
    return load(function()
        local piece = pieces()
        if first and type(piece) == 'string' and piece ~= '' then
            first = false
            if not is_text(piece) then
                error('bytecode is not allowed', 0)
            end
        end
        return piece
    end, name)
end
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
